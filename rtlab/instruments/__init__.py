"""Instruments: what looks at a running system and reports.

relay.py      copies bytes between two sockets and shows them to an observer: below the tap and the fault proxy
wiretap/      the tap: reads HTTP, WebSocket, Engine.IO and Socket.IO as they go by
transcript/   what the tap has read: rows, their order, their words, picture and file
faults/       a proxy that spoils connections, processes that are stopped, schedules of such faults
doctor/       what the lab needs, and what of it is here
checking/     what clients saw, and whether a chat kept its promises: recorder, checker, story, picture
drawing.py    what pictures are drawn with
measuring/    what servers and the tap cost
soaking/      writes into a cluster of the chat while it is disturbed, and has it judged
"""
