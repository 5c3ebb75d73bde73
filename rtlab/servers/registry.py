"""What is open right now: the one registry of this process, and so of this kernel.

What lives here: which resources (servers, brokers, clusters) run, which notebook cell started each of them, and
the ticker that keeps the interrupt button quick. It must not know how a resource works: whatever has a `running`,
a `stop` and a repr can be registered.

How a second run of a cell replaces what the first had started: each resource is kept under a *key*. That is the
`name` if one was given, else the id of the cell that JupyterLab sends along, else a hash of the cell's source
(nbclient and nbval send no id). Before something is started, what an earlier run started under the same key is
stopped, and one line says so. Outside IPython there is no key, and nothing is replaced.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from rtlab.servers.unawaited import awaited

__all__ = ["TICK_S", "Resource", "Resources", "forget", "opening", "resources"]

TICK_S = 0.1
"""Seconds between two wake-ups of the event loop while anything is open. The operating system may hand the signal
of the interrupt button to any thread of the kernel, and a sleeping event loop does not notice. Ten wake-ups a
second cost next to nothing, and with what a kernel needs to show a traceback the button works in half a second."""


class Resource(Protocol):
    """Something that runs and can be stopped."""

    @property
    def running(self) -> bool:
        """Whether it runs."""

    def stop(self) -> Awaitable[None]:
        """Stop it. A second call does nothing."""


@dataclass(frozen=True)
class Origin:
    """Who started a resource."""

    key: str | None
    """The name, the cell's id or the hash of its source. None: nobody will replace it."""
    run: str | None
    """Which run of the cell. Two resources of one run stand beside each other. None: the key was a name."""


@dataclass(frozen=True)
class _Entry:
    resource: Resource
    origin: Origin
    loop: asyncio.AbstractEventLoop


class Resources(tuple[Resource, ...]):
    """The resources that are open, oldest first; shown one per line."""

    __slots__ = ()

    @awaited("await rtlab.resources().stop()")
    async def stop(self) -> None:
        """Stop them all, the youngest first."""
        for resource in reversed(self):
            await resource.stop()

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "nothing is open"


_entries: list[_Entry] = []
_opening: Counter[asyncio.AbstractEventLoop] = Counter()
_tickers: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}


def resources() -> Resources:
    """What rtlab has open in this process: servers, brokers, clusters. `await rtlab.resources().stop()` stops all."""
    return Resources(entry.resource for entry in _entries)


@asynccontextmanager
async def opening(name: str | None = None) -> AsyncIterator[Callable[[Resource], None]]:
    """Surround the start of a resource; call what this gives with the resource once it runs.

    What an earlier run of this cell (or anyone under the same `name`) had started is stopped first. If the block then
    fails, a note on its error says that there is nothing in its place: names still refer to what was stopped. While the
    block lasts, the interrupt button is as quick as later, when the resource runs.
    """
    loop = asyncio.get_running_loop()
    _opening[loop] += 1
    _keep_ticking()
    try:
        origin = _origin(name)
        stopped = await _replace_earlier(origin, name)
        try:
            yield lambda resource: _entries.append(_Entry(resource, origin, loop))
        except Exception as error:
            for shown in stopped:
                error.add_note(
                    f"Nothing runs in the place of {shown}, which was stopped for this: a variable with that server "
                    "still refers to the stopped one. Mend the error above, and run the cell again."
                )
            raise
    finally:
        _opening[loop] -= 1
        _keep_ticking()


def forget(resource: Resource) -> None:
    """Take a resource that has stopped out of the registry. No error if it is not there."""
    _entries[:] = [entry for entry in _entries if entry.resource is not resource]
    _keep_ticking()


async def _replace_earlier(origin: Origin, name: str | None) -> list[str]:
    """Stop what an earlier run has started; gives what that looked like."""
    stopped = []
    earlier = [
        entry
        for entry in _entries
        if origin.key is not None
        and entry.origin.key == origin.key
        and (origin.run is None or entry.origin.run != origin.run)
    ]
    for entry in earlier:
        if entry.loop is asyncio.get_running_loop():
            shown = repr(entry.resource).partition("\n")[0]  # of a cluster, which has a line for each of its processes
            stopped.append(shown)
            await entry.resource.stop()
            whose = f"under the name {name!r}" if name else "by an earlier run of this cell"
            print(f"Stopped {shown}, started {whose}.")  # for the person at the notebook
        forget(entry.resource)
    return stopped


def _keep_ticking() -> None:
    """Have one ticker in each event loop that opens something or has something open, and in no other."""
    for loop in [known for known in (*_tickers, *_opening) if known.is_closed()]:
        _tickers.pop(loop, None)
        del _opening[loop]
    needed = {entry.loop for entry in _entries if not entry.loop.is_closed()} | set(+_opening)
    for loop in needed - set(_tickers):
        _tickers[loop] = loop.create_task(_tick(), name="rtlab ticker")
    for loop in set(_tickers) - needed:
        _tickers.pop(loop).cancel()


async def _tick() -> None:
    while True:  # waking up is all it is for
        await asyncio.sleep(TICK_S)


def _origin(name: str | None) -> Origin:
    if name is not None:
        return Origin(f"name {name}", None)
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    if shell is None:
        return Origin(None, None)
    kernel = getattr(shell, "kernel", None)
    if kernel is None:  # IPython in a terminal
        source, run, cell = shell.user_ns.get("_i", ""), str(shell.execution_count), None
    else:
        parent = kernel.get_parent("shell")
        source = parent.get("content", {}).get("code", "")
        run = parent.get("header", {}).get("msg_id", "")
        cell = parent.get("metadata", {}).get("cellId")
    if cell is None:
        cell = hashlib.sha256(_lines(source.splitlines()).encode()).hexdigest()
    return Origin(f"cell {cell}", run)


def _lines(lines: Iterable[str]) -> str:
    """A cell's source without what does not change its meaning: spaces at line ends, empty lines."""
    return "\n".join(line.rstrip() for line in lines if line.strip())
