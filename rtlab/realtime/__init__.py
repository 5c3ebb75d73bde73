"""A Socket.IO server that trusts nobody: `Server` in place of `socketio.AsyncServer`, its `Guards`, and `validation`.

Several processes share a Redis: ``Server(client_manager=RedisManager("redis://…"))``; see `nodes`.

An event, from the socket to its acknowledgement:

1. `http_side` takes the frame of a WebSocket, `polling_requests` the body of a POST, and decodes the Engine.IO packet;
   until its client is let in, `metering` has counted the bytes before that;
2. `session` has it counted by `intake`, which keeps the messages that wait for handlers, and says when to read on;
3. `engine` hands it up, `server` assembles the Socket.IO packet with `packets`, and asks `rules` about its name;
4. python-socketio finds the handler and calls it; its result goes back through `Server._send_packet`;
5. `message` encodes it once, and `transports` writes the frame, or keeps it for the next GET.

A client that asks to be let into a namespace goes, from step 3 on, through `namespace_gate`: it calls the connect
handler, keeps back what is said to the client meanwhile, and answers CONNECT or CONNECT_ERROR.

A broadcast, from `Server.emit` to the sockets:

1. `server` asks `rules.target_of` whom it is for, and gives it to python-socketio's manager, which may publish it for
   other nodes (Redis);
2. `fanout`, behind every manager, finds the members in this process, and encodes the packet;
3. `message` keeps the one encoded form of each kind that is asked for while it is sent: frames, frames compressed;
4. `session` of each member: a closed one hears nothing;
5. `transports` writes the frames to the socket's buffer, or queues the message for the next GET; who is too slow is
   dropped.

An app of your own checks what clients send, and answers whatever they send. `validation` does both, on this server and
on a plain `socketio.AsyncServer`::

    import asyncio

    import rtlab
    from rtlab.realtime import Server
    from rtlab.realtime.validation import AckError, checked, string, unknown_event

    sio = Server(cors_allowed_origins=["https://chat.example"])

    @sio.event
    @checked(room=string(32))
    async def join(sid, room):
        await sio.enter_room(sid, f"room:{room}")

    @sio.event
    @checked(room=string(32), text=string(500))
    async def message(sid, room, text):
        if f"room:{room}" not in sio.rooms(sid):
            raise AckError("not_a_member", "expected a room that you have joined")
        await sio.emit("message", {"room": room, "text": text}, to=f"room:{room}")

    sio.on("*", unknown_event)

    async def main():
        async with rtlab.serve(sio, port=8000):
            await asyncio.Event().wait()

    asyncio.run(main())

- Why was this client cut off? The logger ``rtlab.realtime`` has one line, from `Session.close`: a WARNING where a guard
  has closed it (ERROR for a slow consumer), which Python shows without any set-up; INFO for other ends. `endings` has
  the table of all reasons. Who calls it decides: `http_side` and `polling_requests`,
  `session` (packets, heartbeat, bounds), `namespace_gate` (time-outs), `engine` (the application, the shutdown).
- Where is the largest payload set? ``max_http_buffer_size`` of `Server`; `http_side` holds WebSockets to it,
  `polling_requests` POSTs. What a client may send that nobody has let in yet is in `limits`, and held by `intake`; how
  many of those there may be, by `admission`.
- Where are acknowledgements matched? In python-socketio's manager (``callbacks``): `fanout` takes a number there for
  each packet that wants one, and `server` hands what comes back; it leaves out id 0.
- What happens when the app shuts down? `Engine.shutdown` closes each session as "server shutting down".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtlab.realtime.guards import Guards
from rtlab.realtime.server import Server

if TYPE_CHECKING:
    from rtlab.realtime.nodes.manager import RedisManager

__all__ = ["Guards", "RedisManager", "Server"]


def __getattr__(name: str) -> Any:
    """`RedisManager` comes on first use: a server of one process needs no redis-py."""
    if name == "RedisManager":
        from rtlab.realtime.nodes.manager import RedisManager

        return RedisManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
