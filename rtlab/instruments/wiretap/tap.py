"""The tap: a proxy in front of any server that copies bytes unchanged and records what they say.

What lives here: `tap` and `start_tap`, `Tap`, and the copying between two sockets. It must not know what the bytes
mean; `decoding` and `sessions_seen` do. They read HTTP, WebSocket, Engine.IO and Socket.IO without being asked.

Two promises. Bytes leave as they came, whatever they are: backpressure, half-closed connections and resets are passed
on too. And what has gone through is recorded before it is passed on: whoever has received something finds it in
`tap.transcript`, without waiting (or in its number of rows that are not kept any more: a recording is bounded).

A server with TLS can be tapped too: clients speak to the tap without TLS, on loopback, and the tap speaks TLS to the
server. Only in this do bytes leave other than they came; a half-closed connection cannot be passed on there.

To read a flood of tiny messages takes longer than to send it. The tap reads it in turns with all its other connections,
so it is the sender of the flood that waits: its bytes are passed on as fast as they are read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as tls
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from rtlab.errors import UsageError
from rtlab.instruments.relay import Relay
from rtlab.instruments.room import room_for
from rtlab.instruments.transcript.labels import make_labels
from rtlab.instruments.transcript.recording import Recording
from rtlab.instruments.transcript.rows import Row
from rtlab.instruments.transcript.transcript import Transcript
from rtlab.instruments.turns import Turns
from rtlab.instruments.wiretap.decoding import Meaning
from rtlab.instruments.wiretap.observing import ConnectionObserver, Refused
from rtlab.instruments.wiretap.sessions_seen import SessionsSeen
from rtlab.servers import registry
from rtlab.servers.accepting import stop_accepting
from rtlab.servers.hosting import LOOPBACK, HostedServer, expect_port, listen
from rtlab.servers.repeats import RepeatLog
from rtlab.servers.tls import Trust, client_context
from rtlab.servers.unawaited import awaited, block

__all__ = ["DEADLINE_S", "Tap", "start_tap", "tap"]

logger = logging.getLogger(__name__)

CONNECTIONS = 400
"""Connections that are open at a time, with two sockets each: most systems allow a process 1,024. On one that allows
less, a quarter of that. Who comes then is reset at once, and the log says so once in a while."""
DEADLINE_S = 5.0
"""Seconds that `wait_for` and `seen` wait for what a lesson says will come."""
SCHEMES = {"http": ("http", 80), "ws": ("http", 80), "https": ("https", 443), "wss": ("https", 443)}
"""Of each URL that can be tapped, the scheme of HTTP and the port that is meant where none is named."""
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

    def __init__(
        self,
        listener: socket.socket,
        target: str,
        host: str,
        port: int,
        recording: Recording,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        super().__init__(listener.getsockname()[1], f"in front of {target}", self._end)
        self.target = target
        """The server's URL; it begins with https:// where the tap speaks TLS to it."""
        self._address = host, port
        self._tls = ssl
        self.recording = recording
        self.meaning: Meaning | None = None
        """Says what a row means in a protocol above."""
        self.sessions = SessionsSeen(lambda: recording.count)
        """The Engine.IO sessions that it has seen."""
        self._relays: set[Relay] = set()
        self._turns = Turns()
        self._room = room_for(CONNECTIONS)
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

    @awaited("transcript = await tap.wait_for(…)")
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

    @awaited("transcript = await tap.seen(…)")
    async def seen(self, rows: int, within_s: float = DEADLINE_S) -> Transcript:
        """Wait until that many rows have been recorded; gives the transcript.

        Raises:
            TimeoutError: they did not come within `within_s` seconds.
        """
        return await self.wait_for(lambda transcript: len(transcript) + transcript.dropped >= rows, within_s)

    def __repr__(self) -> str:
        return (
            f"<Tap http://{LOOPBACK}:{self.port} in front of {self.target}, {'running' if self.running else 'stopped'}>"
        )

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
            return Refused()
        self._accepted += 1
        relay = Relay(ConnectionObserver(self, self._accepted), self._address, self._turns, self._tls)
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


@awaited("tap = await rtlab.start_tap(…)", "async with rtlab.tap(…) as tap:")
async def start_tap(
    server: str | HasUrl,
    *,
    port: int = 0,
    meaning: Meaning | None = None,
    labels: Mapping[str, str] | None = None,
    on_row: Callable[[Row], None] | None = None,
    on_final: Callable[[Row], None] | None = None,
    ssl: Trust = None,
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
        ssl: whom to trust where the server's URL begins with https:// or wss://: the path of a CA's certificate in PEM,
            an `ssl.SSLContext`, or None for the CAs that this machine trusts. Clients speak to the tap without TLS.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        UsageError: the URL is none that can be tapped, the port is taken, or there is no CA at that path.
    """
    expect_port(port)
    target, host, server_port = _parse(server)
    encrypted = target.startswith("https:")
    if ssl is not None and not encrypted:
        raise UsageError(f"ssl= is for a server with https:// or wss://, and {target} has no TLS.")
    context = client_context(ssl, urlsplit(target).netloc) if encrypted else None
    async with registry.opening(name) as register:
        listener = listen(port)
        try:
            known = {("PORT", str(listener.getsockname()[1])): "TAP", ("PORT", str(server_port)): "SERVER"}
            recording = Recording(make_labels(labels, known), on_row=on_row, on_final=on_final)
            made = Tap(listener, target, host, server_port, recording, context)
            await made.listen(listener, meaning)
        except BaseException:
            listener.close()
            raise
        register(made)
    return made


@block("async with rtlab.tap(…) as tap:", "tap = await rtlab.start_tap(…)")
async def tap(
    server: str | HasUrl,
    *,
    port: int = 0,
    meaning: Meaning | None = None,
    labels: Mapping[str, str] | None = None,
    ssl: Trust = None,
    name: str | None = None,
) -> AsyncIterator[Tap]:
    """A tap for the length of an ``async with`` block; its transcript stays. Arguments and errors: see `start_tap`."""
    made = await start_tap(server, port=port, meaning=meaning, labels=labels, ssl=ssl, name=name)
    try:
        yield made
    finally:
        await made.stop()


def _parse(server: str | HasUrl) -> tuple[str, str, int]:
    """The server's URL without its path, its host and its port."""
    url = server if isinstance(server, str) else getattr(server, "url", None)
    if not isinstance(url, str):
        raise UsageError(
            f"Expected a server that rtlab.start gave, or a URL like 'http://127.0.0.1:8000'; got {server!r}."
        )
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        scheme, usual = SCHEMES[parts.scheme]
        if not parts.hostname:
            raise ValueError
        host, port = parts.hostname, parts.port or usual
    except (ValueError, KeyError):
        raise UsageError(f"Expected a URL like 'http://127.0.0.1:8000', got {url!r}.") from None
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}", host, port
