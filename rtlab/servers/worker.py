"""The program in a child process that runs one app on an inherited socket.

``python -m rtlab.servers.worker LISTENER_FD READY_FD module:attribute``. It writes one byte to READY_FD once it
listens, and ends on SIGTERM (or SIGINT) after closing its connections. Started by `hosting` only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

from rtlab.errors import RtlabError
from rtlab.servers.apps import resolve, run_app
from rtlab.servers.signals import until_signal

__all__: list[str] = []


async def main(listener_fd: int, ready_fd: int, target: str) -> None:
    """Run the app until a signal asks for the end."""
    asked = until_signal()
    listener = socket.socket(fileno=listener_fd)
    close = await run_app(await resolve(target), listener)
    with contextlib.suppress(BrokenPipeError):
        os.write(ready_fd, b"1")
    os.close(ready_fd)
    await asked
    await close()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
    except RtlabError as error:
        sys.exit(str(error))
