"""A Socket.IO server without gaps, for any project: `Server` in place of `socketio.AsyncServer`, and its `Guards`.

An event, from the socket to its acknowledgement:

1. `http_side` takes the frame of a WebSocket, or the body of a POST, and decodes the Engine.IO packet;
2. `session` counts it, and puts a message into the inbox of its client;
3. `engine` hands it up, `server` assembles the Socket.IO packet with `packets`, and asks `rules` about its name;
4. python-socketio finds the handler and calls it; its result goes back through `Server._send_packet`;
5. `message` encodes it once, and `transports` writes the frame, or keeps it for the next GET.

A broadcast: `server` (`rules.target_of`) → the manager with `fanout` → one `message` → `transports` of each member.

- Why was this client closed? The log has one line, from `Session.close`; `session.Reason` lists the reasons.
- Where is the largest payload set? ``max_http_buffer_size`` of `Server`; `http_side` holds POST and WebSocket to it.
- Where are acknowledgements matched? In python-socketio's manager (``callbacks``); `server` leaves out id 0.
- What happens when the app shuts down? `Engine.shutdown` closes each session as "server shutting down".
"""

from rtlab.realtime.guards import Guards
from rtlab.realtime.server import Server

__all__ = ["Guards", "Server"]
