"""One Engine.IO session: a client from its handshake to its end, whichever way its messages take.

What lives here: `Session`, with its states, its heartbeat and its intake. It must not know HTTP, nor what a message
says: `engine` brings packets, and gets messages and the end through `Owner`.

A session is open until it is closed, once and for good. Messages are handled one after the other, and the end comes
after the last of them, so that nobody is disconnected whose connect handler still runs. Heartbeats and a close need no
handler, and never wait for one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from rtlab.errors import ProtocolError
from rtlab.realtime.endings import ENDINGS, Reason
from rtlab.realtime.guards import Guards
from rtlab.realtime.heartbeat import Heartbeat
from rtlab.realtime.intake import Intake, Turn
from rtlab.realtime.message import CLOSE, NOOP, PING, Message
from rtlab.realtime.resent import Resent
from rtlab.realtime.transports import PollingTransport, WebSocketTransport
from rtlab.wire.engineio import EnginePacket, EnginePacketType
from rtlab.wire.frames import CloseCode

__all__ = ["Owner", "Session", "is_cancelled"]

PROTOCOL = "Engine.IO protocol v4, Protocol"


class Owner(Protocol):
    """What a session needs from the server that it belongs to."""

    guards: Guards
    ping_interval: float
    ping_timeout: float
    monitors: bool
    max_http_buffer_size: int

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        """Run it, and keep it."""

    async def handle(self, session: Session, data: str | bytes) -> None:
        """A message has come. Raises ProtocolError if it must not have."""

    def note_end(self, session: Session, level: int, detail: str) -> None:
        """Say in the log that the session has ended, and why."""

    async def ended(self, session: Session, reason: str) -> None:
        """The session has ended, and all its messages are handled."""


class Session:
    """A client's session. Made by `Engine`.

    Args:
        owner: the server.
        sid: its id, which the client names in each request.
    """

    def __init__(self, owner: Owner, sid: str) -> None:
        self.sid = sid
        self.session: dict[str, object] = {}
        """What the application keeps for this client; python-socketio's get_session and save_session use it."""
        self.closed = ""
        """Why it has ended; empty while it is open."""
        self.upgrading: WebSocketTransport | None = None
        """The WebSocket that a client tries out."""
        self.probed = False
        """Whether the client has had its answer to the probe: no GET is to wait from then on."""
        self.posting = False
        """Whether a POST is being taken."""
        self.resent = Resent()
        """What its last GET and POST were, while it polls."""
        self.body_timeout: asyncio.Timeout | None = None
        """The time that its body has, while that is being read."""
        self.final = False
        """Whether a client that polls is told that it is over for good."""
        self.close_delivered = False
        """Whether a client that polls has heard that the session is closed."""
        self.ended = asyncio.Event()
        """Set when the end has been handled."""
        self._owner = owner
        self.transport: PollingTransport | WebSocketTransport = PollingTransport(
            owner.guards.max_queued_bytes, self.drop_slow_consumer
        )
        self._heartbeat = Heartbeat(
            owner.ping_interval, owner.ping_timeout, self._ping, lambda: self.close(Reason.PING_TIMEOUT)
        )
        self.intake = Intake(owner.guards)
        """What the client has sent, and how much that may be."""
        self._turn = Turn()
        self._worker: asyncio.Task[None] | None = None
        self._hanging_up: asyncio.Task[None] | None = None

    def open(self) -> None:
        """The handshake is done: from now on the client has to answer pings."""
        if self._owner.monitors and not self.closed:
            self._heartbeat.start()

    def send(self, message: Message) -> None:
        """Say something. A closed session hears nothing."""
        if not self.closed:
            self.transport.send(message)

    async def receive(self, packet: EnginePacket) -> None:
        """Take a packet of the client's. Waits while too much is in front of the handlers, or came too fast.

        Raises:
            ProtocolError: it is more than a client may send that is in no namespace.
        """
        if self.closed:
            return
        wait = self.intake.count(len(packet.data))
        if packet.type is EnginePacketType.MESSAGE:
            self.intake.put(packet.data)
            self._work()
        elif packet.type is EnginePacketType.PONG:
            self._heartbeat.pong()
        elif packet.type is EnginePacketType.CLOSE:
            self.close(Reason.CLIENT_DISCONNECT)
        else:
            self.violate(ProtocolError(f"expected no {packet.type.name} from a client here", rule=PROTOCOL))
        if wait or self.intake.full:
            await self.intake.wait(wait)

    def upgrade(self, socket: WebSocketTransport) -> None:
        """Go over to a WebSocket. What waits for a GET goes there first; a GET that waits gets a NOOP."""
        polling = self.transport
        assert isinstance(polling, PollingTransport)
        self.transport, self.upgrading, self.probed = socket, None, False
        for message in polling.take():
            self.send(message)
        polling.wake()

    def violate(self, error: ProtocolError) -> None:
        """The client sent what it must not. Whatever it sent after that is not looked at."""
        if not self.closed:
            self.intake.clear()
            self.close(Reason.PARSE_ERROR, error.problem, detail=str(error))

    def drop_slow_consumer(self) -> None:
        """The client is too slow: abort TCP. It would not read a close frame."""
        if self.closed:
            return  # more is said to it while its connect handler runs on
        waiting = self.transport.queued_bytes
        if isinstance(self.transport, WebSocketTransport):
            self.transport.abort()
        allowed = self._owner.guards.max_queued_bytes
        detail = f"{waiting} bytes wait for it and {allowed} are allowed (Guards.max_queued_bytes)"
        self.close(Reason.SLOW_CONSUMER, detail=detail)

    def close(
        self, reason: str, why: str = "", *, detail: str = "", level: int | None = None, final: bool = False
    ) -> None:
        """End the session, with one line in the log. A second call does nothing.

        Args:
            reason: what the disconnect handlers hear.
            why: what a WebSocket client hears besides the close code.
            detail: what the log says besides the reason.
            level: of the line in the log, where it is not the reason's own.
            final: whether a client that polls is told that it is over for good, where the reason does not say so.
        """
        if self.closed:
            return
        self.closed = reason
        self.final = final or ENDINGS[reason].final
        self._owner.note_end(self, ENDINGS[reason].level if level is None else level, detail)
        self._heartbeat.stop()
        self.intake.close()
        if self.body_timeout is not None:
            self.body_timeout.reschedule(0)  # that is now: nobody waits for the rest of a body
        if self.upgrading is not None and not self.probed:
            self.upgrading.abort()  # the client still polls, and hears it there; later it waits for the upgrade's end
        elif self.upgrading is not None and reason == Reason.SHUTTING_DOWN:
            self.upgrading.stop_reading()  # nobody waits for the rest of an upgrade
        if isinstance(self.transport, WebSocketTransport):
            self._hanging_up = self._owner.spawn(self.transport.close(self.close_code, why or reason))
        else:
            self.transport.wake()
        self._work()

    @property
    def close_code(self) -> CloseCode:
        """What a WebSocket client of a closed session is told."""
        return ENDINGS[self.closed].code if self.closed else CloseCode.POLICY_VIOLATION

    def final_messages(self) -> list[Message]:
        """What a GET of a closed session is answered: what waits, and, where the end is final, that it is closed.

        Nothing but an error status where there is neither: after that clients come back.
        """
        self.close_delivered = True
        if not self.final and isinstance(self.transport, PollingTransport):
            return self.transport.take()
        if self.closed == Reason.CLIENT_DISCONNECT or not isinstance(self.transport, PollingTransport):
            return [NOOP]  # the client has closed it, or hears it on its WebSocket; this only ends the GET
        return [*self.transport.take(), CLOSE]

    async def wait_closed(self) -> None:
        """Wait until the WebSocket of a closed session has had its closing handshake."""
        if self._hanging_up is not None:
            await asyncio.wait([self._hanging_up])

    def release(self) -> None:
        """The end has been handled: let go of everything that it had, without waiting for the cyclic collector."""
        self.intake.clear()
        self._heartbeat.release()
        self.upgrading = None
        if isinstance(self.transport, PollingTransport):  # a WebSocket lets go once its closing handshake is done
            self.transport.release()

    @property
    def busy(self) -> bool:
        """Whether this very task handles a message or the end of this session."""
        return self._worker is asyncio.current_task()

    def _ping(self) -> None:
        self.send(PING)

    def _work(self) -> None:
        if self._worker is None and not self.ended.is_set():
            self._worker = self._owner.spawn(self._handle())

    async def _handle(self) -> None:
        """Handle what is in the inbox; after the end, the end. Whatever fails here, the next message is handled."""
        try:
            try:
                while self.intake and not is_cancelled():
                    self._turn.begin()
                    try:
                        await self._owner.handle(self, self.intake.take())
                    except ProtocolError as error:
                        self.violate(error)
                    await self._turn.end()
                    await self.intake.rest()
            except asyncio.CancelledError:
                if not self.closed:
                    raise
            if is_cancelled():
                self.intake.clear()  # the server is not going to wait any longer; only the end is still handled
            if self.closed:
                try:
                    await self._owner.ended(self, self.closed)
                finally:
                    self.ended.set()
        except asyncio.CancelledError:
            self.ended.set()
            raise
        finally:
            self._worker = None
            if self.intake or self.closed:
                self._work()


def is_cancelled() -> bool:
    """Whether this task itself is to end, and not only something that a handler waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
