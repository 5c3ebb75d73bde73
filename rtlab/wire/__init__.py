"""Floor 0: protocols as pure functions; no I/O, no clock, no random numbers.

A connection, from its first byte: `http` reads the request, `handshake` accepts or refuses it (with `extensions` and
`deflate` for compression); then `protocol` takes every byte: `frames` cuts them, `assembling` makes messages, and what
comes out is one of `events`. Above a WebSocket, or in the body of a POST: `engineio` reads the packets of a session,
and `socketio` those that they carry (`socketio_packets` says what one is).
"""
