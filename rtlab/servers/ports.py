"""A TCP port for a program that has to be told one, or for a server that comes back on its own.

What lives here: `free_port`. It must not know who listens there. What can listen on port 0, or be given a socket that
listens, needs none of this.

Between the answer and the program's own bind, and while a server is away, anybody may take the port. Whoever asks the
system for any port gets one of its own range, which begins at 32768 on Linux and at 49152 elsewhere. So ours come from
below it: nobody is given them by chance, neither for a server nor for the near end of a connection.
"""

from __future__ import annotations

import secrets
import socket

__all__ = ["PORTS", "free_port"]

PORTS = range(12_000, 32_768)
ATTEMPTS = 100
LOOPBACK = "127.0.0.1"


def free_port(host: str = LOOPBACK) -> int:
    """A port that nobody listens on at this moment, and that the system gives to nobody by itself."""
    for attempt in range(ATTEMPTS + 1):
        port = secrets.choice(PORTS) if attempt < ATTEMPTS else 0
        try:
            with socket.create_server((host, port)) as listener:
                return int(listener.getsockname()[1])
        except OSError:
            if port == 0:
                raise
    raise AssertionError("the last attempt returns or raises")
