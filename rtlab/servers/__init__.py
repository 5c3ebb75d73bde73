"""Floor 1: servers and the processes that they run in.

Imports nothing by itself: each module is loaded by whoever needs it.
"""
