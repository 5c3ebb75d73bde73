"""A Socket.IO server without gaps, for any project: `Server` in place of `socketio.AsyncServer`, and its `Guards`."""

from rtlab.realtime.guards import Guards
from rtlab.realtime.server import Server

__all__ = ["Guards", "Server"]
