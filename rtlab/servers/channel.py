"""One WebSocket connection below the application: bytes from a socket to an inbox, and from an outbox to the socket.

What lives here: `SocketChannel`: what asyncio calls, in which order things are decoded, and how TCP ends. It must not
know what the messages mean, nor how the opening handshake of either side goes; `websocket` does. What an application
calls is in `connection`.

How a connection is bounded in memory: received messages wait for the handler in an `Inbox` until they take
`INBOX_BYTES`; then decoding stops, and with it reading from the socket, TCP's window fills, and the peer has to wait.
So a handler that reads nothing costs `INBOX_BYTES`, one message more (four times `max_message_size` as a `str`), and
what asyncio had read before: `READ_BYTES`. In the other direction senders wait while the `Outbox` is full, and nothing
is read meanwhile: a peer that takes no pongs is given no more.

And in time: a turn of the event loop decodes `TURN_BYTES` or `TURN_FRAMES` of one connection, and the next turn goes
on, so that whoever sends a great many small frames, or small ones that become large, makes nobody else wait for all of
them. Nothing is read from the socket meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtlab.servers.inbox import Inbox
from rtlab.servers.options import Options
from rtlab.servers.outbox import Outbox
from rtlab.servers.pings import Pings
from rtlab.wire.frames import CloseCode
from rtlab.wire.handshake import HeadBuffer, Request, Response, Upgrade
from rtlab.wire.protocol import BinaryMessage, Closed, Connection, Event, Pong, TextMessage

__all__ = ["LINGER_S", "READ_BYTES", "TLS_LINGER_S", "TURN_BYTES", "TURN_FRAMES", "SocketChannel"]

READ_BYTES = 256 * 1024
"""Bytes that asyncio reads from a socket at once (`max_size` of its transports)."""
TURN_BYTES = 256 * 1024
"""Bytes of memory that messages of one connection may become in one turn of the event loop; the message that reaches
them is the last. 1 MiB of zeros is inflated in a millisecond, and a read may hold 250 of them."""
TURN_FRAMES = 256
"""Frames of one connection in one turn. Each takes some 5 µs however little it holds, and a read may hold 40,000."""
LINGER_S = 2.0
"""Seconds that a peer has to close its half of TCP after we have closed ours."""
TLS_LINGER_S = 0.5
"""Seconds that a peer has with TLS to read why we close, and to stop sending: some round trips."""


class SocketChannel(asyncio.Protocol):
    """One connection, as asyncio has it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.request: Request | None = None
        """The client's half of the opening handshake."""
        self.response: Response | None = None
        """The server's half."""
        self.subprotocol: str | None = None
        """The one that was agreed on."""
        self.closed: Closed | None = None
        """How it ended; None while it is open."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._outbox: Outbox = None  # type: ignore[assignment]  # set by connection_made
        self._connection: Connection | None = None  # set when the handshake is done
        self._head = HeadBuffer()
        self._inbox = Inbox()
        self._reading = True
        self._closing = False
        self._turn: asyncio.Handle | None = None  # in which decoding goes on
        self._patience: asyncio.TimerHandle | None = None
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._pings = Pings()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected; the handshake begins."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._outbox = Outbox(transport)
        self._outbox.begin()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._connection is not None:
            self._decode(data)
        elif not self._closing:
            self.handshake_received(data)

    def eof_received(self) -> bool:
        """The peer has closed its half of TCP; so do we."""
        self._receive_eof()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """TCP has ended, one way or another. What was not decoded is lost with it, like what the kernel still had.

        What was decoded stays in the inbox for a handler that is not done yet.
        """
        self._receive_eof()
        if self._connection is None and self.closed is None:
            self.closed = Closed(int(CloseCode.ABNORMAL), clean=False)
        for timer in (self._turn, self._patience):
            if timer is not None:
                timer.cancel()
        self._outbox.clear()
        self._release_senders()
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """The kernel has taken everything that asyncio had."""
        self._outbox.resume()
        if not self._outbox.full:
            self._release_senders()

    # The opening handshake

    def handshake_received(self, data: bytes) -> None:
        """More of the handshake's head has arrived; what to do with it differs between server and client."""
        raise NotImplementedError

    def _begin(self, upgrade: Upgrade, rest: bytes, masking_key: Callable[[], bytes] | None) -> None:
        """The handshake is done: from now on frames."""
        self.response, self.subprotocol = upgrade.response, upgrade.subprotocol
        self._connection = Connection(
            masking_key=masking_key,
            deflate=upgrade.deflate,
            max_message_size=self.options.max_message_size,
            max_fragments=self.options.max_fragments,
        )
        if rest:
            self.data_received(rest)

    # Sending

    def _write(self, data: bytes) -> None:
        self._outbox.write(data)
        if self._writable is None and self._outbox.full:
            self._writable = self._loop.create_future()

    def _release_senders(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
            self._read_on()

    # Receiving

    def _decode(self, data: bytes = b"") -> None:
        """Decode a turn's worth of what has arrived. The rest waits for the next turn, or for room."""
        connection = self._connection
        assert connection is not None
        room = TURN_BYTES if self._closing else min(TURN_BYTES, self._inbox.room)
        events = connection.receive(data, max(1, room), TURN_FRAMES)
        out = connection.data_to_send()
        if out:
            self._write(out)
        for event in events:
            self._handle(event)
        self._read_or_wait()

    def _read_or_wait(self) -> None:
        """Read from the socket only if everything that was read is decoded, and there is room for more."""
        full = (self._inbox.room <= 0 or self._writable is not None) and not self._closing
        undecoded = self._connection is not None and self._connection.undecoded
        if undecoded and not full:
            self._take_turn()
        reading = not full and not undecoded
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _read_on(self) -> None:
        """What stood in the way is gone: a peer that took nothing, or messages that nobody had taken."""
        if not self._reading:
            self._take_turn()

    def _take_turn(self) -> None:
        if self._turn is None and not self._lost.done():
            self._turn = self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn = None
        if self._connection is not None and self._connection.undecoded:
            self._decode()
        else:
            self._read_or_wait()

    def _receive_eof(self) -> None:
        if self._connection is not None:
            for event in self._connection.receive_eof():
                self._handle(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, (TextMessage, BinaryMessage)):
            self._inbox.put(event)
        elif isinstance(event, Pong):
            self._pings.answered(event.payload)
        elif isinstance(event, Closed):
            self._end(event)
        else:
            return
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    # The end

    def _discard(self) -> None:
        """Nobody takes messages any more: what arrives from now on is not even decompressed."""
        self._closing = True
        if self._connection is not None:
            self._connection.discard_messages()
        self._read_on()

    def _end(self, closed: Closed) -> None:
        self.closed = closed
        self._pings.ended(closed)
        self.close_transport(closed)

    def close_transport(self, closed: Closed) -> None:
        """Both close frames have been sent, or nothing will help. A server closes TCP first (RFC 6455 §7.1.1)."""
        self.linger()

    def linger(self) -> None:
        """Close our half of TCP, and read on until the peer closes its own.

        Closing at once, with data unread, would reset the connection, and a reset takes our last words away from a
        peer that has not read them yet (RFC 9112 §9.6 describes it for HTTP). With TLS asyncio closes both halves or
        none. So a peer that may still be sending gets some time first; one that has sent its close frame is done.
        """
        self._discard()
        self._outbox.flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._patience = self._loop.call_later(LINGER_S, self._transport.abort)
        elif self.closed is not None and self.closed.clean:
            self._close_tls()
        else:
            self._patience = self._loop.call_later(TLS_LINGER_S, self._close_tls)

    def _close_tls(self) -> None:
        """Close where one half alone cannot be closed. asyncio sends close_notify and waits for the peer's (RFC 8446
        §6.1), but what the peer still sends meanwhile ends that with a reset."""
        self._transport.close()
        self._patience = self._loop.call_later(LINGER_S, self._transport.abort)
