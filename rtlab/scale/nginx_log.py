"""What an nginx of ours has written: which of its processes accept connections, and the requests that have ended.

What lives here: readers of the two files. They must not start, stop or signal anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from rtlab.servers.supervisor import Log

__all__ = ["ACCESS_BYTES", "AccessRow", "Generations", "read_access"]

ACCESS_BYTES = 1024 * 1024
"""How much of the end of the access log is read: some 6,000 requests."""
LINE = re.compile(rb"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(?P<level>\w+)\] (?P<pid>\d+)#\d+: (?P<text>.*)")
"""A line of the error log. Nobody else can begin one: nginx escapes what it quotes from a request."""
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class AccessRow:
    """A request that has ended."""

    worker: str | None
    """Host and port of the worker that answered; None where nginx answered by itself."""
    status: int
    """The HTTP status; 101 for a WebSocket."""
    method: str
    path: str
    """Decoded, and without the query."""
    seconds: float
    """From its first byte to its end."""
    tried: tuple[str, ...] = ()
    """All the workers that were asked, the one that answered last."""


class Generations:
    """Which worker processes of an nginx accept connections, from what it says at level notice.

    Args:
        log: of its master process. It is read from where the last look ended, so nothing is missed between two looks.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._read = 0
        self._rest = b""
        self._accepting: set[int] = set()
        self._problem: str | None = None

    def accepting(self) -> frozenset[int]:
        """The processes that accept connections now. From here on `problem` tells of new ones only."""
        self._look()
        self._problem = None
        return frozenset(self._accepting)

    def replaced(self, old: frozenset[int]) -> bool:
        """Whether none of the old processes accepts any more, and new ones do."""
        self._look()
        return bool(self._accepting) and not self._accepting & old

    def problem(self) -> str | None:
        """Why nginx did not take its configuration, if it did not."""
        self._look()
        return self._problem

    def _look(self) -> None:
        with contextlib.suppress(FileNotFoundError), self._log.path.open("rb") as file:
            file.seek(self._read)
            while piece := file.read(PIECE_BYTES):
                self._read += len(piece)
                *lines, self._rest = (self._rest + piece).split(b"\n")
                for line in lines:
                    self._note(line)

    def _note(self, line: bytes) -> None:
        found = LINE.match(line)
        if found is None:
            return
        text = found["text"]
        if found["level"] == b"emerg":
            self._problem = text.decode(errors="replace")
        elif found["level"] == b"notice":
            started = re.fullmatch(rb"start worker process (\d+)", text)
            if started:
                self._accepting.add(int(started[1]))
            elif text in {b"gracefully shutting down", b"exiting"}:
                self._accepting.discard(int(found["pid"]))
        if found["level"] in {b"notice", b"alert"}:
            ended = re.match(rb"worker process (\d+) exited", text)
            if ended:
                self._accepting.discard(int(ended[1]))


def read_access(path: Path) -> list[AccessRow]:
    """The rows at the end of an access log; none where there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - ACCESS_BYTES))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    whole = lines[1:-1] if size > ACCESS_BYTES else lines[:-1]  # the first may be the end of one, the last unfinished
    return [_row(line) for line in whole]


def _row(line: bytes) -> AccessRow:
    fields = json.loads(line.decode(errors="replace"))
    tried = tuple(each for each in re.split(r"[, ]+", fields["worker"]) if ":" in each and each != ":")
    return AccessRow(
        worker=tried[-1] if tried else None,
        status=int(fields["status"]),
        method=fields["method"],
        path=fields["path"],
        seconds=float(fields["seconds"]),
        tried=tried,
    )
