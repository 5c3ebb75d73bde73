"""JavaScript at hand: a script, or a server, in Node with the official Socket.IO packages.

What lives here: `node`, which runs a script to its end and gives what it printed and returned; `node_server` and
`start_node`, for a server that is written in JavaScript; and `NodeRun`, what came of a script. The other half, which
runs in Node, is ``javascript.cjs``. It must not know what a script is about.

A script is the body of an async function. It has at hand: `io` (socket.io-client), `Server` (socket.io), `WebSocket`
(ws), `msgpackParser` (socket.io-msgpack-parser), `http`, `assert`, `require`, `once(emitter, event)`, and a constant
for each value that is passed along.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import IO, Any

from rtlab.errors import ChildError, UsageError
from rtlab.servers import registry
from rtlab.servers.course import javascript_packages
from rtlab.servers.hosting import READY_S, HostedServer, listen
from rtlab.servers.programs import node as find_node
from rtlab.servers.supervisor import TAIL_LINES, Child, describe_status, readable
from rtlab.servers.unawaited import awaited, block

__all__ = ["AT_HAND", "LINES", "WITHIN_S", "NodeRun", "node", "node_server", "start_node"]

WITHIN_S = 20.0
"""Seconds that a script has. One that talks to a server on this machine takes a third of one."""
LINES = 1000
"""How many last lines of a script's output are kept."""
QUOTED = 80
"""How many characters of a line of the script an error quotes."""
AT_HAND = ("io", "Server", "WebSocket", "msgpackParser", "http", "assert", "require", "once", "httpServer")
"""The names that a script has without asking (`httpServer` only in a server)."""
RUNNER = Path(__file__).with_suffix(".cjs")


@dataclass(frozen=True, repr=False)
class NodeRun:
    """What came of a script."""

    lines: tuple[str, ...]
    """What it printed, by console.log or otherwise, without line ends; the last `LINES` of them."""
    value: Any
    """What it returned, by way of JSON. None also where it returned nothing."""

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    def __repr__(self) -> str:
        shown = [*self.lines]
        if self.value is not None:
            shown.append(f"returned {self.value!r}")
        return "\n".join(shown) or "<NodeRun: nothing printed, nothing returned>"


@awaited("run = await rtlab.node(…)")
async def node(script: str, *, within_s: float = WITHIN_S, **values: Any) -> NodeRun:
    """Run a piece of JavaScript in Node, with the official Socket.IO client and server at hand.

    It ends when the script returns: sockets, servers and timers that it left are closed with the process.

    Args:
        script: the body of an async function, so `await` and `return` work. The top of this module says what it
            has at hand.
        within_s: seconds that it has.
        values: become constants of the same names; whatever JSON can hold.

    Raises:
        MissingProgramError: there is no Node, or the npm packages are not installed.
        ChildError: the script raised an error, does not end, or waits for what cannot come. The message says in
            which line, and shows the last lines of output.
        UsageError: a value is not JSON, or has the name of something that is at hand.
    """
    async with registry.opening():  # keeps the interrupt button quick
        with tempfile.TemporaryFile() as task, tempfile.TemporaryFile() as result:
            _write(task, script, values)
            child = _child(task, result)
            try:
                async with asyncio.timeout(within_s):
                    await child.wait_async()
            except BaseException as error:
                child.kill()
                await child.aclose()
                if isinstance(error, TimeoutError):
                    raise child.failure(f"was ended: the script had not returned after {within_s:g} s") from None
                raise
            lines = child.log.tail(LINES)
            await child.aclose()
            told = _read(result)
            if "error" in told or child.returncode != 0:
                raise _failure(script, told, child, lines)
    return NodeRun(tuple(lines), told.get("value"))


@awaited("server = await rtlab.start_node(…)", "async with rtlab.node_server(…) as server:")
async def start_node(script: str, *, name: str | None = None, **values: Any) -> HostedServer:
    """Start a server in Node that runs until `await server.stop()`, over as many cells as you like.

    Running the same cell again stops what its earlier run had started. Ends with the process in any case.

    Args:
        script: the body of an async function that attaches something to `httpServer`; it listens on a free port of
            this machine once the script has returned. ``new Server(httpServer)`` is a Socket.IO server.
        name: replaces whatever was started under the same name, instead of by the same cell.
        values: as in `node`.

    Raises:
        MissingProgramError, ChildError, UsageError: as in `node`.
    """
    async with registry.opening(name) as register:
        listener = listen(0)
        with listener, tempfile.TemporaryFile() as task, tempfile.TemporaryFile() as result:
            _write(task, script, values)
            port = listener.getsockname()[1]
            reader, writer = os.pipe()
            try:
                try:
                    child = _child(task, result, listener.fileno(), writer)
                finally:
                    os.close(writer)
                listener.close()  # the child holds it now: a dead server's port refuses
                try:
                    async with asyncio.timeout(READY_S):
                        await readable(reader)
                    if not os.read(reader, 1):
                        await child.wait_async()
                        raise _failure(script, _read(result), child, child.log.tail())
                except BaseException as error:
                    child.kill()
                    await child.aclose()
                    if isinstance(error, TimeoutError):
                        raise child.failure(f"was not ready after {READY_S:g} s") from None
                    raise
            finally:
                os.close(reader)
        server = HostedServer(port, f"Node in process {child.pid}", child.aclose, child)
        register(server)
    return server


@block("async with rtlab.node_server(…) as server:", "server = await rtlab.start_node(…)")
async def node_server(script: str, *, name: str | None = None, **values: Any) -> AsyncIterator[HostedServer]:
    """A server in Node for the length of an ``async with`` block. Arguments and errors are those of `start_node`."""
    server = await start_node(script, name=name, **values)
    try:
        yield server
    finally:
        await server.stop()


COLOURS = ("FORCE_COLOR", "CLICOLOR_FORCE")
"""A kernel asks its children for colours. What a script prints is read and compared, so it has none."""


def _child(task: IO[bytes], result: IO[bytes], *server: int) -> Child:
    """Node with the runner; `server` are the descriptors of a listening socket and of the pipe that says "ready"."""
    descriptors = (task.fileno(), result.fileno(), *server)
    return Child(
        [*find_node().command, RUNNER, *map(str, descriptors)],
        name="Node",
        env={name: value for name, value in os.environ.items() if name not in COLOURS} | {"NO_COLOR": "1"},
        pass_fds=descriptors,
    )


def _write(task: IO[bytes], script: str, values: dict[str, Any]) -> None:
    """Put down what the runner reads, through a descriptor whose position it shares."""
    for name in values:
        if name in AT_HAND:
            raise UsageError(f"{name!r} is something that a script has at hand anyway. Give the value another name.")
    folder = javascript_packages()[0].path.parent.parent
    try:
        text = json.dumps({"script": script, "values": values, "folder": os.fspath(folder)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"A script's values travel as JSON: {error}.") from None
    task.write(text.encode())
    task.flush()
    task.seek(0)


def _read(result: IO[bytes]) -> dict[str, Any]:
    """What the runner has told; nothing if it did not come to that."""
    result.seek(0)
    told = result.read()
    found: dict[str, Any] = json.loads(told) if told else {}
    return found


def _failure(script: str, told: dict[str, Any], child: Child, lines: Sequence[str]) -> ChildError:
    """The error for a script that did not end well."""
    if "error" not in told:  # Node itself gave up
        return child.failure(f"ended with {describe_status(child.returncode or 0)}, and the script with it")
    number, source = told["line"], script.splitlines()
    where = f" in line {number} of the script" if number else ""
    if number and number <= len(source):
        where += f", `{shorten(source[number - 1], QUOTED, placeholder=' …')}`"
    return ChildError("Node", f"stopped{where}: {told['error']}", list(lines)[-TAIL_LINES:])
