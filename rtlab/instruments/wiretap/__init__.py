"""The tap: a proxy that copies bytes unchanged and reads what they say. The journey of bytes through it:

../relay.py         two sockets: bytes come in, are shown to the tap, then go out as they came
tap.py              the proxy: accepts connections and gives each a decoder; callers wait for rows here
observing.py        stands between both, and says what the tap says itself: no server, no room, TLS
decoding.py         one connection: gives the bytes of each direction to the reader of their protocol
http_messages.py    reads requests, responses and event streams, until a handshake
switching.py        checks the handshake and makes the frame readers that follow it
frame_reader.py     cuts bytes into WebSocket frames, inflates them, puts messages together
row_fields.py       turns what was read into the fields of a row (`../transcript/rows.py`)
session_reader.py   finds the Engine.IO session that a request or a frame belongs to
sessions_seen.py    reads the packets of a session, and matches acknowledgements to events
packets_seen.py     says in words what an Engine.IO or Socket.IO packet is
tap.py              hands the row to `../transcript/recording.py`
watching.py         in a terminal: prints each row as it is recorded
"""
