"""A tap in a terminal: every row as it is seen, until Ctrl-C.

What lives here: `watch`, which ``rtlab tap URL`` calls. Here the rows stand in the order in which they were seen and
with the ports and keys that they have: nobody compares this with another run. A file that is saved holds the
transcript proper.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from rtlab.errors import UsageError
from rtlab.instruments.transcript.file import SECRETS, dump_head, dump_row, open_private
from rtlab.instruments.transcript.rows import Kind, Row
from rtlab.instruments.wiretap.tap import start_tap
from rtlab.servers.signals import until_signal
from rtlab.servers.tls import Trust

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["watch"]

STYLES = {Kind.REQUEST: "cyan", Kind.RESPONSE: "cyan", Kind.HANDSHAKE: "yellow", Kind.EVENT: "green",
          Kind.FRAME: "default", Kind.RAW: "dim", Kind.END: "red"}  # fmt: skip
"""Colours by kind of row; a pipe and NO_COLOR get none."""


async def watch(
    url: str,
    console: Console,
    *,
    port: int = 0,
    save: str | os.PathLike[str] | None = None,
    ssl: Trust = None,
) -> int:
    """Put a tap in front of `url` and print each row until SIGINT or SIGTERM.

    Args:
        url: the server's, with a path if you like.
        console: where to print.
        port: of the tap; 0 takes a free one.
        save: a file for the transcript, which only its owner can read. It is written as the rows come, so all of them
            are in it.
        ssl: whom to trust with https:// and wss://, as `start_tap` takes it.

    Returns:
        The exit status: 128 and the number of the signal, as shells have it; 1 if nobody reads what is printed any
        more, as with ``| head``.

    Raises:
        UsageError: the URL cannot be tapped, the port is taken, the CA cannot be read, or the file not be written.
    """
    asked = until_signal()
    unread: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    clients = 0

    def on_row(row: Row) -> None:
        nonlocal clients
        clients = max(clients, row.connection)
        try:
            _print(console, row)
        except (OSError, SystemExit):  # nobody reads any more: rich ends the process, which the copying must not see
            if not unread.done():
                unread.set_result(None)

    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_open(save)) if save is not None else None
        on_final = _writer(file) if file is not None else None
        tap = await start_tap(url, port=port, on_row=on_row, on_final=on_final, ssl=ssl)
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            scheme = {"https": "http", "wss": "ws"}.get(parts.scheme, parts.scheme)  # the tap itself has no TLS
            here = parts._replace(scheme=scheme, netloc=urlsplit(tap.url).netloc).geturl()
            _say(console, f"Connect to {here} instead of {parts.geturl()}. Ctrl-C ends this.", "bold")
            if save is not None:
                _say(console, f"{os.fspath(save)}: {SECRETS}", "yellow")
            ends: list[asyncio.Future[Any]] = [asked, unread]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return 128 + asked.result() if asked.done() else 1
        finally:
            await tap.stop()
            rows = tap.recording.count
            saved = f", saved in {save}" if file is not None else ""
            with contextlib.suppress(OSError, SystemExit):
                _say(console, f"\n{rows} {'row' if rows == 1 else 'rows'} from {clients} "
                     f"{'connection' if clients == 1 else 'connections'}{saved}.", "bold")  # fmt: skip


def _print(console: Console, row: Row) -> None:
    first, *more = row.lines
    _say(console, f"{row.clock:4}  {row.client} {row.direction.arrow} server  {first}", STYLES[row.kind])
    for line in more:
        style = {"! ": "red", "= ": "blue"}.get(line[:2], "dim")
        _say(console, f"{'':{len(row.client) + 17}}{line}", style)


def _say(console: Console, text: str, style: str) -> None:
    from rich.text import Text

    known = text.encode(console.encoding, "replace").decode(console.encoding)  # a terminal may have no arrows
    console.print(Text(known, style), soft_wrap=True)


def _open(path: str | os.PathLike[str]) -> TextIO:
    try:
        file = open_private(path)
    except OSError as error:
        raise UsageError(f"Cannot write {os.fspath(path)}: {error.strerror}.") from None
    file.write(dump_head(0))
    return file


def _writer(file: TextIO) -> Callable[[Row], None]:
    def write(row: Row) -> None:
        file.write(dump_row(row))
        file.flush()

    return write
