"""A Socket.IO server that trusts nobody: `Server` in place of `socketio.AsyncServer`, and its `Guards`.

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

- Why was this client cut off? The logger ``rtlab.realtime`` has one line (INFO; ERROR for a slow consumer), from
  `Session.close`; `endings` has the table of all reasons. Who calls it decides: `http_side` and `polling_requests`,
  `session` (packets, heartbeat, bounds), `namespace_gate` (time-outs), `engine` (the application, the shutdown).
- Where is the largest payload set? ``max_http_buffer_size`` of `Server`; `http_side` holds WebSockets to it,
  `polling_requests` POSTs. What a client may send that nobody has let in yet is in `limits`, and held by `intake`; how
  many of those there may be, by `admission`.
- Where are acknowledgements matched? In python-socketio's manager (``callbacks``): `fanout` takes a number there for
  each packet that wants one, and `server` hands what comes back; it leaves out id 0.
- What happens when the app shuts down? `Engine.shutdown` closes each session as "server shutting down".
"""

from rtlab.realtime.guards import Guards
from rtlab.realtime.server import Server

__all__ = ["Guards", "Server"]
