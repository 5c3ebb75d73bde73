"""One view of what a whole cluster prints: each line with the name of whoever has printed it.

What lives here: `ClusterLog`, which reads the files that the processes write, and remembers the end of it all. It must
not know what the processes are. Lines of one process keep their order. Between processes the order is that in which
the lines were read, `LOOK_S` apart; a line of the log that needs a better one carries its own time.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from rtlab.servers.supervisor import TAIL_LINES, Log

__all__ = ["FILE_BYTES", "KEPT_LINES", "LINE_CHARACTERS", "LOOK_S", "ClusterLog", "LogLine"]

LOOK_S = 0.1
"""Seconds between two looks at the files: a person who follows the log sees no delay."""
KEPT_LINES = 5_000
"""Lines that are remembered, of all processes together."""
LINE_CHARACTERS = 2_000
"""Characters of a line; the rest of a longer one is left out. With `KEPT_LINES`, 40 MB at most where each character
takes four bytes; the lines of the chat's log have 200."""
FILE_BYTES = 8 * 1024 * 1024
"""Bytes after which a process' file is emptied, all of it having been read. Lines that are written at that very moment
may be lost; without it, a process that prints for weeks would fill the disk."""
READ_BYTES = 1024 * 1024
"""Bytes that one look takes from one file. Of a process that prints more than 10 MB a second, lines are left out."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Colours, and other control characters: a client may have put them into what is logged (ECMA-48, section 5.4)."""


@dataclass(frozen=True)
class LogLine:
    """A line that a process has printed."""

    name: str
    """Who: "worker-1", "nginx", "valkey"; "cluster" for what the cluster itself says."""
    text: str
    """The line, without its end and without colours."""

    def __str__(self) -> str:
        return f"{self.name:<8} | {self.text}"


@dataclass
class _Source:
    """A file that is read."""

    name: str
    log: Log
    offset: int = 0
    rest: bytes = b""
    """The beginning of a line whose end is not there yet."""


@dataclass
class ClusterLog:
    """What all processes of a cluster have printed. ``print(cluster.log)`` shows its end."""

    _lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    _sources: list[_Source] = field(default_factory=list)
    _count: int = 0
    """Lines so far, forgotten ones too."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: bool = False

    def add(self, name: str, log: Log) -> None:
        """Read the file of a process from now on, from its beginning."""
        self._sources.append(_Source(name, log))

    def drop(self, log: Log) -> None:
        """Read what is left in a file, which is about to be removed."""
        for source in [each for each in self._sources if each.log is log]:
            self._read(source)
            if source.rest:
                self._take(source.name, source.rest)
            self._sources.remove(source)

    def say(self, text: str, name: str = "cluster") -> None:
        """Add a line of the cluster's own."""
        self.read()  # what came before it
        self._take(name, text.encode(errors="replace"))

    def read(self) -> None:
        """Take in what the processes have written."""
        for source in self._sources:
            self._read(source)

    async def keep_reading(self) -> None:
        """Read until cancelled."""
        while True:
            self.read()
            await asyncio.sleep(LOOK_S)

    def end(self) -> None:
        """Nothing comes any more: who follows is done."""
        self._ended = True
        self._news.set()

    def lines(self, of: str | None = None) -> list[LogLine]:
        """All lines that are remembered, oldest first.

        Args:
            of: only those of this process: "worker-1".
        """
        self.read()
        return [line for line in self._lines if of is None or line.name == of]

    def tail(self, lines: int = TAIL_LINES, of: str | None = None) -> list[LogLine]:
        """The last lines, oldest first.

        Args:
            lines: how many at most.
            of: only those of this process: "worker-1".
        """
        return self.lines(of)[-lines:] if lines > 0 else []

    async def follow(self, lines: int = 0) -> AsyncIterator[LogLine]:
        """Each line as it comes, until the cluster has stopped: ``async for line in cluster.log.follow(): …``.

        Who takes them too slowly is told how many have been left out.

        Args:
            lines: begin with so many of those that are there.
        """
        seen = max(0, self._count - max(0, lines), self._count - len(self._lines))
        while True:
            while (new := self._count - seen) > 0:
                if new > len(self._lines):
                    seen = self._count - len(self._lines)
                    yield LogLine("cluster", f"({new - len(self._lines)} lines were left out)")
                    continue
                seen += 1
                yield self._lines[-new]
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()

    def __str__(self) -> str:
        return "\n".join(map(str, self.tail()))

    def __repr__(self) -> str:
        return str(self) or "<ClusterLog, nothing was printed yet>"

    def _read(self, source: _Source) -> None:
        if source.log.size - source.offset > READ_BYTES:
            skipped = source.log.size - source.offset - READ_BYTES
            source.offset += skipped
            source.rest = b""
            self._take(source.name, f"({skipped} bytes were left out: it prints faster than they are read)".encode())
        end = source.log.size  # what comes meanwhile has to wait, or somebody who prints fast enough holds us here
        while source.offset < end and (data := source.log.since(source.offset)):
            source.offset += len(data)
            *whole, source.rest = (source.rest + data).split(b"\n")
            for line in whole:
                self._take(source.name, line)
            if len(source.rest) > 4 * LINE_CHARACTERS:  # as much as the characters of a line may take in UTF-8
                source.rest = source.rest[: 4 * LINE_CHARACTERS]
        if source.offset > FILE_BYTES:
            source.log.clear()
            source.offset = 0

    def _take(self, name: str, line: bytes) -> None:
        text = ESCAPES.sub("", line[: 4 * LINE_CHARACTERS].decode(errors="replace"))
        self._lines.append(LogLine(name, text if len(text) <= LINE_CHARACTERS else f"{text[:LINE_CHARACTERS]} …"))
        self._count += 1
        self._news.set()
