"""The tap: a proxy in front of any server that copies bytes unchanged and records what they say.

What lives here: `tap` and `start_tap`, `Tap`, and the copying between two sockets. It must not know what the bytes
mean; `decoding` and `sessions_seen` do. They read HTTP, WebSocket, Engine.IO and Socket.IO without being asked.

Two promises. Bytes leave as they came, whatever they are: backpressure, half-closed connections and resets are passed
on too. And what has gone through is recorded before it is passed on: whoever has received something finds it in
`tap.transcript`, without waiting (or in its number of rows that are not kept any more: a recording is bounded).

To read a flood of tiny messages takes longer than to send it. The tap reads it in turns with all its other connections,
so it is the sender of the flood that waits: its bytes are passed on as fast as they are read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol, cast
from urllib.parse import urlsplit

from rtlab.errors import UsageError
from rtlab.instruments.direction import Direction
from rtlab.instruments.relay import Relay
from rtlab.instruments.transcript.labels import make_labels
from rtlab.instruments.transcript.recording import Recording
from rtlab.instruments.transcript.rows import Row
from rtlab.instruments.transcript.transcript import Transcript
from rtlab.instruments.turns import Turns
from rtlab.instruments.wiretap.decoding import ConnectionDecoder, Meaning
from rtlab.instruments.wiretap.sessions_seen import SessionsSeen
from rtlab.servers import registry
from rtlab.servers.accepting import stop_accepting
from rtlab.servers.hosting import HostedServer, listen
from rtlab.servers.repeats import RepeatLog

__all__ = ["DEADLINE_S", "Tap", "start_tap", "tap"]

logger = logging.getLogger(__name__)

CONNECTIONS = 400
"""Connections that are open at a time, with two sockets each: most systems allow a process 1,024. On one that allows
less, a quarter of that. Who comes then is reset at once, and the log says so once in a while."""
DEADLINE_S = 5.0
"""Seconds that `wait_for` and `seen` wait for what a lesson says will come."""
LOOK_S, LOOKING = 0.001, 0.1
"""Seconds that a look at the transcript may take in every turn of the loop, for those who wait. Where it takes longer,
because rows have come by the thousand, looks get this part of the time, and some changes are not looked at."""


class HasUrl(Protocol):
    """A server that says where it listens."""

    @property
    def url(self) -> str:
        """``http://HOST:PORT``."""


class Tap(HostedServer):
    """A proxy that listens on a port of its own. Made by `rtlab.tap` and `rtlab.start_tap`."""

    def __init__(self, listener: socket.socket, target: str, host: str, port: int, recording: Recording) -> None:
        super().__init__(listener.getsockname()[1], f"in front of {target}", self._end)
        self.target = target
        """The server's URL."""
        self._address = host, port
        self.recording = recording
        self.meaning: Meaning | None = None
        """Says what a row means in a protocol above."""
        self.sessions = SessionsSeen(lambda: recording.count)
        """The Engine.IO sessions that it has seen."""
        self._relays: set[Relay] = set()
        self._turns = Turns()
        self._room = _room()
        self._refused = RepeatLog(logger)
        self._accepted = 0
        self._waiting: dict[asyncio.Future[Transcript], Callable[[Transcript], object]] = {}
        self._look_scheduled = False
        self._next_look = 0.0  # by the loop's clock
        self._catching_up = False
        self._server: asyncio.Server | None = None

    @property
    def transcript(self) -> Transcript:
        """What has been said so far. It stays when the tap has stopped."""
        return self.recording.transcript

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._relays)

    async def wait_for(self, predicate: Callable[[Transcript], object], within_s: float = DEADLINE_S) -> Transcript:
        """Wait until the transcript is as you want it; gives that transcript.

        It is needed only for what nobody here receives. What you have received is in the transcript already.

        Args:
            predicate: is called with the transcript after each change, and when a connection has ended; under a flood,
                after many changes.
            within_s: seconds.

        Raises:
            TimeoutError: it did not become so. The message shows the transcript.
        """
        now = self.transcript
        if predicate(now):
            return now
        future: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        self._waiting[future] = predicate
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            raise TimeoutError(
                f"What was waited for did not come within {within_s:g} s. The transcript:\n{self.transcript}"
            ) from None
        finally:
            del self._waiting[future]

    async def seen(self, rows: int, within_s: float = DEADLINE_S) -> Transcript:
        """Wait until that many rows have been recorded; gives the transcript.

        Raises:
            TimeoutError: they did not come within `within_s` seconds.
        """
        return await self.wait_for(lambda transcript: len(transcript) + transcript.dropped >= rows, within_s)

    def __repr__(self) -> str:
        return f"<Tap {self.url} in front of {self.target}, {'running' if self.running else 'stopped'}>"

    async def listen(self, listener: socket.socket, meaning: Meaning | None) -> None:
        """Begin to accept connections. For `start_tap`."""
        self.meaning = meaning
        self._listener = listener
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=listener)

    def _accept(self) -> asyncio.Protocol:
        if len(self._relays) >= self._room:
            self._refused.log(
                logging.WARNING, "tap full", "The tap on port %d has %d connections open and takes no more.",
                self.port, self._room,
            )  # fmt: skip
            return _Refused()
        self._accepted += 1
        relay = Relay(_Observer(self, self._accepted), self._address, self._turns)
        self._relays.add(relay)
        return relay.client

    async def _end(self) -> None:
        assert self._server is not None
        await stop_accepting(self._listener)
        self._server.close()
        for relay in list(self._relays):
            relay.abort()
            await relay.closed.wait()
        self.recording.close_run()
        self._refused.sum_up()

    def record(self, row: Row) -> None:
        """A row, from one of the connections."""
        self.recording.append(row)
        if self.recording.behind and not self._catching_up:
            self._catching_up = True
            self._turns.join(self._catch_up)
        self._changed()

    def _catch_up(self) -> bool:
        self._catching_up = self.recording.catch_up()
        return self._catching_up

    def gone(self, relay: Relay) -> None:
        """A connection is over."""
        self._relays.discard(relay)
        self._changed()

    def _changed(self) -> None:
        """Let those who wait look, once per turn of the loop at most, and seldom while it takes long."""
        if self._waiting and not self._look_scheduled:
            self._look_scheduled = True
            asyncio.get_running_loop().call_at(self._next_look, self._look)

    def _look(self) -> None:
        self._look_scheduled = False
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._show_to_those_who_wait()
        now = loop.time()
        self._next_look = now + (now - began) * (1 / LOOKING - 1) if now - began > LOOK_S else now

    def _show_to_those_who_wait(self) -> None:
        now = self.transcript
        for future, predicate in self._waiting.items():
            if not future.done():
                try:
                    if predicate(now):
                        future.set_result(now)
                except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
                    future.set_exception(error)


class _Refused(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


class _Observer:
    """What a relay tells goes to the decoder of its connection."""

    def __init__(self, tap: Tap, connection: int) -> None:
        self._tap = tap
        self._decoder = ConnectionDecoder(connection, tap.record, tap.meaning, tap.sessions)
        self.portion = self._decoder.portion
        self.receive = self._decoder.receive
        self.end = self._decoder.end
        self.left_over = self._decoder.left_over

    def refusal(self, problem: str) -> bytes | None:
        """What the tap says where there is no server: to HTTP once the request is whole, nothing to others."""
        where = urlsplit(self._tap.target).netloc
        if self._decoder.waiting:
            self._decoder.tell_end(Direction.TO_CLIENT, f"no server on {where}: {problem}")
            return _bad_gateway(f"The tap cannot reach the server on {where}: {problem}. Is it running?\n")
        if self._decoder.is_http:
            return None
        self._decoder.tell_end(Direction.TO_CLIENT, f"no server on {where}: {problem}")
        return b""

    def gone(self, relay: Relay) -> None:
        """The connection is over."""
        self._decoder.finish()
        self._tap.gone(relay)


async def start_tap(
    server: str | HasUrl,
    *,
    port: int = 0,
    meaning: Meaning | None = None,
    labels: Mapping[str, str] | None = None,
    on_row: Callable[[Row], None] | None = None,
    on_final: Callable[[Row], None] | None = None,
    name: str | None = None,
) -> Tap:
    """Put a tap in front of a server, until `await tap.stop()`, over as many cells as you like.

    Clients connect to `tap.url` instead of `server.url`. In a notebook, running the same cell again stops what its
    earlier run had started. The server need not be there yet.

    Args:
        server: one that `rtlab.start` gave, another tap, or a URL: ``"http://127.0.0.1:8000"``.
        port: a TCP port; 0 takes a free one.
        meaning: says in one line what a row means in a protocol above. It is called with each row that carries a
            message, an event or a body; what it answers stands in the row's `note`.
        labels: more of what differs from run to run: ``{"ORDER": r"order (\\d+)"}`` shows ORDER-1 for the first number.
        on_row: called with each row as it is seen.
        on_final: called with each row once its place in the transcript is certain.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        UsageError: the URL is none that can be tapped, or the port is taken.
    """
    target, host, server_port = _parse(server)
    async with registry.opening(name) as register:
        listener = listen(port)
        try:
            known = {("PORT", str(listener.getsockname()[1])): "TAP", ("PORT", str(server_port)): "SERVER"}
            recording = Recording(make_labels(labels, known), on_row=on_row, on_final=on_final)
            made = Tap(listener, target, host, server_port, recording)
            await made.listen(listener, meaning)
        except BaseException:
            listener.close()
            raise
        register(made)
    return made


@asynccontextmanager
async def tap(
    server: str | HasUrl,
    *,
    port: int = 0,
    meaning: Meaning | None = None,
    labels: Mapping[str, str] | None = None,
    name: str | None = None,
) -> AsyncIterator[Tap]:
    """A tap for the length of an ``async with`` block; its transcript stays. Arguments and errors: see `start_tap`."""
    made = await start_tap(server, port=port, meaning=meaning, labels=labels, name=name)
    try:
        yield made
    finally:
        await made.stop()


def _room() -> int:
    """How many connections there is room for."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return CONNECTIONS
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if allowed == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, allowed // 4))


def _parse(server: str | HasUrl) -> tuple[str, str, int]:
    """The server's URL without its path, its host and its port."""
    url = server if isinstance(server, str) else getattr(server, "url", None)
    if not isinstance(url, str):
        raise UsageError(
            f"Expected a server that rtlab.start gave, or a URL like 'http://127.0.0.1:8000'; got {server!r}."
        )
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme in {"https", "wss"}:
        raise UsageError(f"{url} is encrypted: a tap sees only noise there. Put it where the traffic is plain.")
    try:
        if parts.scheme not in {"http", "ws"} or not parts.hostname:
            raise ValueError
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        raise UsageError(f"Expected a URL like 'http://127.0.0.1:8000', got {url!r}.") from None
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}", host, port


def _bad_gateway(text: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
