"""An Engine.IO server on aiohttp (Engine.IO protocol v4).

What lives here: `Engine`, which stands in for `engineio.AsyncServer` below a Socket.IO server: it takes its options,
keeps its names, and owns the sessions. `http_side` answers the requests. It must not know Socket.IO.

It inherits the reading of options, the CORS rules and the cookies; the sessions are ours. python-engineio's own have a
queue without a bound, a monitor that finds dead peers late, and a body of 16 packets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

import engineio
from aiohttp import web
from engineio import packet as engineio_packet

from rtlab.errors import ProtocolError, UsageError
from rtlab.realtime.admission import Admission
from rtlab.realtime.endings import Reason
from rtlab.realtime.guards import Guards
from rtlab.realtime.http_side import HttpSide
from rtlab.realtime.limits import CLOSE_S, LONGEST_PING_S, SOCKET_ID_PREFIX
from rtlab.realtime.message import Message
from rtlab.realtime.refusals import WARNED, RequestRefused
from rtlab.realtime.session import Session, is_cancelled
from rtlab.realtime.transports import PollingTransport
from rtlab.servers.repeats import RepeatLog

__all__ = ["Engine", "errors_log"]

CANCELS = 10
"""How often a shutdown cancels what does not end: python-socketio swallows it, and the next handler runs."""
LINGER_S = 10.0
"""Seconds in which a client that polls can still fetch what the server said last before it closed the session."""


def errors_log() -> logging.Logger:
    """Where errors go unless an application gives a logger: below "rtlab.realtime", and nowhere twice."""
    log = logging.getLogger("rtlab.realtime.errors")
    if log.level == logging.NOTSET:
        log.setLevel(logging.ERROR)  # below that python-socketio writes a line for each event
    return log


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """An Engine.IO server with the options of `engineio.AsyncServer`, for aiohttp.

    Args:
        guards: what it guards against.
        **options: those of `engineio.AsyncServer`.

    Raises:
        UsageError: an option that this server cannot honour, or a ping interval that nobody can mean.
    """

    def __init__(self, *, guards: Guards, **options: Any) -> None:
        if options.get("async_mode") not in {None, "aiohttp"}:
            raise UsageError(f"This server runs on aiohttp: expected no async_mode, got {options['async_mode']!r}.")
        super().__init__(**{**options, "async_mode": "aiohttp"})
        self.guards = guards
        # python-engineio's own logger is silent unless it is asked for; why a client was cut off is wanted without that
        given = options.get("logger")
        self.ends_log = self.logger if given and given is not errors_log() else logging.getLogger("rtlab.realtime")
        """Where each end of a session is one line, with its reason: the logger "rtlab.realtime", or the one given."""
        self._repeats = RepeatLog(self.ends_log)
        self.error_logger = RepeatLog(self.logger)
        """What fails or is refused, where a client can make it do so again and again."""
        self.admission = Admission(guards.max_unadmitted, guards.max_unadmitted_per_address, time.monotonic)
        """The sessions that are in no namespace."""
        self.monitors = options.get("monitor_clients") is not False
        self.sockets: dict[str, Session] = {}
        self.lingering: dict[str, Session] = {}
        """Sessions that the server has closed, and whose clients have not fetched the news yet."""
        self._http = HttpSide(self)
        self._tasks: set[asyncio.Task[None]] = set()
        if guards.whole_ping_interval:
            _check_ping("ping_interval", self.ping_interval, whole=True)
            _check_ping("ping_timeout", self.ping_timeout, whole=False)

    # What a Socket.IO server asks of it

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Answer requests below this path of an app, and close the sessions when it shuts down."""
        app.router.add_route("*", f"/{engineio_path.strip('/')}/", self.handle_request)
        app.on_shutdown.append(self._on_shutdown)

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for the endpoint: a handshake, a poll, a post or an upgrade."""
        return await self._http.answer(request)

    def generate_id(self) -> str:
        """A new Socket.IO id. It cannot be guessed, and no room of an application can have such a name."""
        return f"{SOCKET_ID_PREFIX}{super().generate_id()}"

    def new_session(self) -> Session:
        """A session, with an id that cannot be guessed."""
        session = Session(self, super().generate_id())
        self.sockets[session.sid] = session
        return session

    def admit(self, sid: str) -> None:
        """A client has been let into a namespace."""
        self.admission.leave(sid)
        self.sockets[sid].intake.admitted = True

    def make_room(self, address: str) -> bool:
        """Where clients wait to be let in and no more may come from this address: end one that has waited for long.

        Returns:
            Whether there is a place now.
        """
        sid = self.admission.replaceable(address)
        if sid is None:
            return False
        self.admission.leave(sid)
        self.sockets[sid].close(
            Reason.CONNECT_TIMEOUT,
            detail="another one needs its place (Guards.max_unadmitted and max_unadmitted_per_address)",
        )
        return True

    def put_out(self, sid: str, address: str) -> bool:
        """A client is in no namespace. Gives whether it was in one before, and not only refused."""
        session = self.sockets.get(sid)
        if session is None or not session.intake.admitted:
            return False
        self.admission.wait(sid, address)
        session.intake.admitted = False
        return True

    def transport(self, sid: str) -> str:
        """ "polling" or "websocket"."""
        return self._get_socket(sid).transport.name

    async def send_packet(self, sid: str, pkt: engineio_packet.Packet) -> None:
        """Send a packet of python-engineio's. A session that is gone hears nothing."""
        self.send_message(sid, Message(pkt.encode()))

    def send_message(self, sid: str | None, message: Message) -> None:
        """Send a message. A session that is gone hears nothing."""
        session = self.sockets.get(sid) if sid is not None else None
        if session is not None:
            session.send(message)

    async def disconnect(self, sid: str | None = None) -> None:
        """Close a session, or all of them, and wait until their disconnect handlers have run."""
        sessions = list(self.sockets.values()) if sid is None else [self.sockets[sid]] if sid in self.sockets else []
        for session in sessions:
            session.close(Reason.SERVER_DISCONNECT)
        await asyncio.gather(*(session.ended.wait() for session in sessions if not session.busy))

    async def shutdown(self) -> None:
        """Close all sessions, and wait until clients and handlers are done or have had their time."""
        for session in list(self.sockets.values()):
            session.close(Reason.SHUTTING_DOWN)
        late = {task for task in self._tasks if task is not asyncio.current_task()}
        if late:
            _, late = await asyncio.wait(late, timeout=CLOSE_S)
        for _ in range(CANCELS):
            for task in late:
                task.cancel()
            if late:
                _, late = await asyncio.wait(late, timeout=CLOSE_S / CANCELS)
        if late:
            self.logger.error("shut down although %d handlers do not end", len(late))

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it beside everything else, and say so in the log if it fails."""
        # not with create_task: an application's task factory may begin at once, and whoever spawns is not ready for it
        task = asyncio.Task(coroutine, loop=asyncio.get_running_loop())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    # What a session asks of it

    async def handle(self, session: Session, data: str | bytes) -> None:
        """Give a message to whoever stands above. Raises ProtocolError if that one does."""
        try:
            await self.handlers["message"](session.sid, data)
        except ProtocolError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            self.error_logger.exception("handler", "%s: a handler failed", session.sid)

    async def ended(self, session: Session, reason: str) -> None:
        """A session is over."""
        try:
            await self.handlers["disconnect"](session.sid, reason)
        except Exception:
            self.error_logger.exception("disconnect", "%s: a disconnect handler failed", session.sid)
        finally:
            self.sockets.pop(session.sid, None)
            self.admission.leave(session.sid)
            if (
                reason == Reason.SERVER_DISCONNECT
                and isinstance(session.transport, PollingTransport)
                and not session.close_delivered
            ):
                self.lingering[session.sid] = session
                asyncio.get_running_loop().call_later(LINGER_S, self._forget, session.sid)
            else:
                session.release()

    def note_end(self, session: Session, level: int, detail: str) -> None:
        """One line for each end of a client that was in a namespace; for others the first ones of a kind.

        A warning is wanted where nobody has set up logging, and a client can cause one after the other: the first ones
        of a kind are warnings, and those after them lines like those of other ends.
        """
        line = "%s: closed, %s%s", session.sid, session.closed, f": {detail}" if detail else ""
        admitted = session.intake.admitted
        if admitted and level <= logging.INFO:
            self.ends_log.log(level, *line)
        elif not self._repeats.log(level, session.closed, *line) and admitted:
            self.ends_log.info(*line)

    def note_refusal(self, refused: RequestRefused) -> None:
        """The first lines of a kind: a warning where a guard, or the list of origins, refuses a client."""
        if refused.refusal in WARNED:
            self._repeats.log(logging.WARNING, refused.refusal.name, "refused: %s", refused)
        else:
            self.error_logger.log(logging.INFO, refused.refusal.name, "refused: %s", refused)

    def _get_socket(self, sid: str) -> Session:
        return self.sockets[sid]

    async def _on_shutdown(self, _: web.Application) -> None:
        await self.shutdown()

    def _forget(self, sid: str) -> None:
        session = self.lingering.pop(sid, None)
        if session is not None:
            session.release()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.logger.error("a task of the server failed", exc_info=error)


def _check_ping(name: str, seconds: object, *, whole: bool) -> None:
    off = "Guards(whole_ping_interval=False) takes it all the same."
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise UsageError(f"Expected {name} as a positive number of seconds, got {seconds!r}.")
    if seconds > LONGEST_PING_S:
        raise UsageError(
            f"{name}={seconds!r} is {seconds / 3600:.1f} hours: Python counts seconds where JavaScript counts "
            f"milliseconds. Did you mean {seconds / 1000:g}? {off}"
        )
    if whole and seconds != int(seconds):
        raise UsageError(
            f"Expected {name} as a whole number of seconds, got {seconds!r}: other servers truncate it. {off}"
        )
