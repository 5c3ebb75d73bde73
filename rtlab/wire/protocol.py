"""The state of one connection after the handshake: events out of bytes, and the closing handshake.

What lives here: `Connection`, which takes the bytes that arrive and gives events, and gives the bytes to send for
what the application wants to say (RFC 6455 §5.4 to §7). Server and client are the same code with two differences:
who masks (§5.1), and who may wait for the other to close TCP (§7.1.1). No I/O, no clock, no randomness: a client's
masking keys come from a function that is passed in.

Which state may follow which is the table `TRANSITIONS`; anything else is a bug of ours and raises.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterator

from rtlab.errors import ProtocolError, UsageError
from rtlab.wire.assembling import MAX_FRAGMENTS, MAX_MESSAGE_SIZE, MessageAssembler, not_utf8
from rtlab.wire.deflate import Deflate
from rtlab.wire.events import BinaryMessage, Closed, Event, Ping, Pong, TextMessage
from rtlab.wire.frames import CONTROL_LIMIT, CloseCode, Frame, FrameParser, Opcode, cut_reason, encode_frame

__all__ = [
    "MAX_FRAGMENTS",
    "MAX_MESSAGE_SIZE",
    "TRANSITIONS",
    "BinaryMessage",
    "Closed",
    "Connection",
    "Event",
    "Ping",
    "Pong",
    "State",
    "TextMessage",
]


class State(enum.Enum):
    """Where the closing handshake stands (§7.1)."""

    OPEN = "open"
    CLOSE_SENT = "close sent"
    """We have sent our close frame; the peer may still be sending messages (§1.4)."""
    CLOSED = "closed"
    """Both have, or it has failed: nothing is sent any more, and what arrives is ignored."""


TRANSITIONS = {
    (State.OPEN, "send close"): State.CLOSE_SENT,
    (State.OPEN, "receive close"): State.CLOSED,
    (State.CLOSE_SENT, "receive close"): State.CLOSED,
    (State.OPEN, "fail"): State.CLOSED,
    (State.CLOSE_SENT, "fail"): State.CLOSED,
    (State.OPEN, "end of stream"): State.CLOSED,
    (State.CLOSE_SENT, "end of stream"): State.CLOSED,
    (State.CLOSED, "end of stream"): State.CLOSED,
}
"""The legal transitions. "receive close" in the state OPEN includes sending the answer (§5.5.1)."""


class Connection:
    """One WebSocket connection after its handshake, without the socket.

    Feed it with `receive`, speak through `text`, `binary`, `ping`, `pong` and `close`, and write whatever
    `data_to_send` gives to the socket after each of them.

    What it holds of what has arrived: a message that is not whole yet (see `MessageAssembler`), and what `receive` was
    given and has left undecoded. Once it is closed, nothing.

    Args:
        masking_key: gives 4 unpredictable bytes for each frame of a client; None makes this a server (§5.3).
        deflate: the compression that the handshake has agreed on.
        max_message_size: bytes; a longer message is answered with 1009.
        max_fragments: frames of one message; more are answered with 1008.
    """

    def __init__(
        self,
        *,
        masking_key: Callable[[], bytes] | None = None,
        deflate: Deflate | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        max_fragments: int = MAX_FRAGMENTS,
    ) -> None:
        self.state = State.OPEN
        self.deflate = deflate
        self._masking_key = masking_key
        self._parser = FrameParser(masked=masking_key is None, max_size=max_message_size, rsv1=deflate is not None)
        self._out: list[bytes] = []
        self._arrived: deque[bytes] = deque()
        self._frames: Iterator[Frame] | None = None  # those in what has arrived, as far as they were not asked for
        self._message = MessageAssembler(self._parser, deflate, max_message_size, max_fragments)

    def data_to_send(self) -> bytes:
        """What has to be written to the socket now. Empties the list."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    @property
    def undecoded(self) -> bool:
        """Whether `receive` has stopped at its budget, and left something of what has arrived."""
        return self._frames is not None

    def discard_messages(self) -> None:
        """Nobody wants messages any more: from now on `receive` gives none, and does not decompress them.

        Pings, pongs and the close frame are given as before.
        """
        self._message.discard()

    def receive(self, data: bytes, budget: int | None = None, max_frames: int | None = None) -> list[Event]:
        """Take what has arrived; gives what it means. A peer that breaks the rules gives a `Closed` with the error.

        Args:
            data: the bytes from the socket; none to go on with what was left `undecoded`.
            budget: bytes of memory. With the message that reaches them decoding stops, so that a few bytes of
                compressed zeros do not become all their megabytes at once; None decodes everything.
            max_frames: with the frame that reaches this number decoding stops as well: a frame takes time, however
                little it holds.
        """
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        self._arrived.append(data)
        if self._frames is None:
            self._frames = self._incoming()
        held = 0
        try:
            for count, frame in enumerate(self._frames, 1):
                event = self._message.add(frame) if frame.opcode < Opcode.CLOSE else self._control(frame)
                if event is not None:
                    events.append(event)
                    if isinstance(event, Closed):
                        self._let_go()
                        return events
                    if budget is not None and isinstance(event, (TextMessage, BinaryMessage)):
                        held += event.held
                        if held >= budget:
                            return events
                if count == max_frames:
                    return events
            self._frames = None
            self._message.check_early()
        except ProtocolError as error:
            events.append(self._fail(error))
            self._let_go()
        return events

    def receive_eof(self) -> list[Event]:
        """The peer closed TCP. Gives a `Closed` unless one was given before."""
        was = self.state
        self._move("end of stream")
        self._let_go()
        return [] if was is State.CLOSED else [Closed(int(CloseCode.ABNORMAL), clean=False)]

    def text(self, data: str) -> None:
        """Send a text message.

        Raises:
            UsageError: the connection is closing or closed.
        """
        self._send_message(Opcode.TEXT, data.encode())

    def binary(self, data: bytes) -> None:
        """Send a binary message.

        Raises:
            UsageError: the connection is closing or closed.
        """
        self._send_message(Opcode.BINARY, data)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping; the peer answers with a pong of the same payload (§5.5.2).

        Raises:
            UsageError: the payload is longer than 125 bytes, or the connection is closing or closed.
        """
        self._send_control(Opcode.PING, payload)

    def pong(self, payload: bytes = b"") -> None:
        """Send a pong that nobody asked for (§5.5.3). Those that were asked for are sent by `receive`.

        Raises:
            UsageError: as for `ping`.
        """
        self._send_control(Opcode.PONG, payload)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Begin the closing handshake (§7.1.2). Nothing if it has begun already.

        Args:
            code: 1000 to 1003, 1007 to 1014, or 3000 to 4999 (§7.4).
            reason: at most 123 bytes in UTF-8.

        Raises:
            UsageError: a code that must not be sent, or a reason that is too long.
        """
        if not _may_be_sent(code):
            raise UsageError(
                f"Close code {code} must not be sent: expected 1000 to 1003, 1007 to 1014, or 3000 to 4999."
            )
        payload = code.to_bytes(2, "big") + reason.encode()
        if len(payload) > CONTROL_LIMIT:
            raise UsageError(f"A close reason has at most 123 bytes in UTF-8, got {len(payload) - 2}.")
        if self.state is State.OPEN:
            self._send(Frame(Opcode.CLOSE, payload))
            self._move("send close")

    def _send_message(self, opcode: Opcode, payload: bytes) -> None:
        self._expect_open()
        if self.deflate is not None and self.deflate.worthwhile(len(payload)):
            self._send(Frame(opcode, self.deflate.compress(payload), rsv1=True))
        else:
            self._send(Frame(opcode, payload))

    def _send_control(self, opcode: Opcode, payload: bytes) -> None:
        self._expect_open()
        if len(payload) > CONTROL_LIMIT:
            raise UsageError(f"A {opcode.name} carries at most 125 bytes, got {len(payload)}.")
        self._send(Frame(opcode, payload))

    def _send(self, frame: Frame) -> None:
        self._out.append(encode_frame(frame, self._masking_key() if self._masking_key else None))

    def _expect_open(self) -> None:
        if self.state is not State.OPEN:
            raise UsageError(f"Nothing can be sent: the connection is {self.state.value}.")

    def _incoming(self) -> Iterator[Frame]:
        while self._arrived:
            yield from self._parser.feed(self._arrived.popleft())

    def _let_go(self) -> None:
        """The connection has ended: nothing that follows has a meaning, and nothing that was kept is needed."""
        self._frames = None
        self._arrived.clear()
        self._parser.forget()
        self._message.discard()
        self.deflate = self._message.deflate = None

    def _control(self, frame: Frame) -> Event:
        if frame.opcode is Opcode.PING:
            if self.state is State.OPEN:
                self._send(Frame(Opcode.PONG, frame.payload))
            return Ping(frame.payload)
        if frame.opcode is Opcode.PONG:
            return Pong(frame.payload)
        code, reason = _read_close(frame.payload)
        if self.state is State.OPEN:
            self._send(frame)  # §5.5.1: the answer typically echoes the code
        self._move("receive close")
        return Closed(code, reason)

    def _fail(self, error: ProtocolError) -> Closed:
        if self.state is State.OPEN:
            reason = cut_reason(error.problem).encode()
            self._send(Frame(Opcode.CLOSE, error.code.to_bytes(2, "big") + reason))
        self._move("fail")
        # Closed holds the error. Its traceback would hold every local of ours, and what it replaced the peer's message.
        error.__traceback__ = error.__context__ = None
        return Closed(int(error.code), error.problem, clean=False, error=error)

    def _move(self, action: str) -> None:
        self.state = TRANSITIONS[self.state, action]


def _read_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame (§5.5.1)."""
    if not payload:
        return int(CloseCode.NO_STATUS), ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _may_be_sent(code):
        raise ProtocolError(f"a close frame with the code {code}", rule="RFC 6455 §7.4")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None


def _may_be_sent(code: int) -> bool:
    return code in _SENDABLE or 3000 <= code <= 4999


_SENDABLE = frozenset(CloseCode) - {CloseCode.NO_STATUS, CloseCode.ABNORMAL}
"""§7.4.1 and the registry of §11.7; 1015 stands for a failed TLS handshake and is not in the enumeration."""
