"""Instruments: what looks at a running system and reports.

relay.py      copies bytes between two sockets and shows them to an observer: below the tap
wiretap/      the tap: reads HTTP, WebSocket, Engine.IO and Socket.IO as they go by
transcript/   what the tap has read: rows, their order, their words, picture and file
doctor/       what the lab needs, and what of it is here
measuring/    what servers and the tap cost
"""
