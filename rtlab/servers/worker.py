"""The program in a child process that runs one app on an inherited socket.

``python -m rtlab.servers.worker LISTENER_FD READY_FD module:attribute``. It writes one byte to READY_FD once it
listens, and ends on SIGTERM (or SIGINT) after closing its connections. Started by `hosting`; the workers of a cluster
run the same `main`, with something to say beside that they listen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable

from rtlab.errors import RtlabError
from rtlab.servers.apps import resolve, run_app
from rtlab.servers.signals import until_signal

__all__ = ["main", "run"]


async def main(
    listener_fd: int, ready_fd: int, target: str, prepare: Callable[[object], bytes] = lambda _: b"1"
) -> None:
    """Run the app until a signal asks for the end.

    Args:
        listener_fd: the socket that listens.
        ready_fd: a pipe, closed once the app listens.
        target: the app's import string.
        prepare: is called with the app before that runs; gives what is written to the pipe.
    """
    asked = until_signal()
    listener = socket.socket(fileno=listener_fd)
    app = await resolve(target)
    said = prepare(app)
    close = await run_app(app, listener)
    with contextlib.suppress(BrokenPipeError):
        os.write(ready_fd, said)
    os.close(ready_fd)
    await asked
    await close()


def run(arguments: list[str], prepare: Callable[[object], bytes] = lambda _: b"1") -> None:
    """Run `main` with the arguments of a command line; what the caller can mend is told without a traceback."""
    try:
        asyncio.run(main(int(arguments[0]), int(arguments[1]), arguments[2], prepare))
    except RtlabError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(sys.argv[1:])
