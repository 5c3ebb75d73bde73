"""The manager of a Socket.IO server that has nodes beside it: rooms here, and everything for elsewhere through Redis.

What lives here: `RedisManager`. It speaks python-socketio's messages (`AsyncPubSubManager`), so that plain servers,
`socketio.AsyncRedisManager` and `rtlab emit` understand it. It must not know what is in Redis besides its channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import socketio
from socketio.msgpack_packet import MsgPackPacket

from rtlab.errors import RedisUnavailable, UsageError
from rtlab.realtime.guards import Guards
from rtlab.realtime.nodes.link import ANSWER_S, RedisLink
from rtlab.realtime.nodes.messages import MAX_MESSAGE_BYTES, NonsenseError, checked
from rtlab.realtime.nodes.publisher import Publisher
from rtlab.realtime.nodes.subscription import Subscription
from rtlab.realtime.rules import target_of
from rtlab.servers.repeats import RepeatLog

__all__ = ["MAX_CALLBACKS", "MAX_TASKS", "RedisManager"]

MAX_CALLBACKS = 10_000
"""Acknowledgements of clients on other nodes that are waited for; the oldest is given up for one more. Each costs some
500 bytes, and what its callback holds."""
MAX_TASKS = 1_000
"""Disconnects and callbacks that other nodes have asked for and whose handlers run. Then nothing more is taken from the
channel until one of them has ended."""


class RedisManager(socketio.AsyncRedisManager):  # type: ignore[misc]
    """Takes the place of `socketio.AsyncRedisManager` in a server whose callers are told what Redis did not do.

    An emit is published first and then delivered to the clients of this process: either all nodes have it, or the
    caller gets `RedisUnavailable` within `answer_s` and nobody hears it, not later either. (One case cannot be
    excluded: Redis had taken it in time, and its answer was lost. Then other nodes have heard it, and this one has
    not.) Emits of one node keep their order on every other. Redis keeps nothing of what it publishes: a node whose
    subscription is lost misses what is said until it has subscribed again (`Subscription`).

    Args:
        url: as for `link.RedisLink`. Options of redis-py go into its query: ``?ssl_ca_certs=…``.
        channel: the same for all nodes.
        write_only: for emitting from outside, without a server.
        logger: python-socketio's own.
        json: a module with dumps and loads. With a server, that of the server is taken.
        answer_s: seconds that any caller waits for Redis.
        max_message_bytes: the longest message that is sent or taken. The same for all nodes.

    Raises:
        UsageError: a URL that names no Redis.
    """

    name = "redis"

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        channel: str = "socketio",
        write_only: bool = False,
        logger: Any = None,
        json: Any = None,
        *,
        answer_s: float = ANSWER_S,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        super().__init__(url, channel=channel, write_only=write_only, logger=logger, json=json)
        self.link = RedisLink(url, answer_s=answer_s)
        """The way to this Redis, for whoever stores something there as well."""
        self.nonsense: Counter[str] = Counter()
        """What came over the channel and was no message, by kind (`messages.NONSENSE`)."""
        self.subscription = Subscription(self.link, channel)
        """Whether this node hears the others (``subscribed``), and how often it stopped to (``lost_total``)."""
        self.admit: dict[str, Callable[[dict[str, Any]], bool]] = {}
        """By event: asked with an emit of another node before it is delivered here, gives whether it is. May change
        whom it leaves out (``skip_sid``)."""
        self.thread: asyncio.Task[None] | None = None
        self._max_message_bytes = max_message_bytes
        self._publisher = Publisher(self.link, channel, self._cannot_hear)
        self._numbers = itertools.count(1)
        self._elsewhere: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._repeat_logger = RepeatLog(logging.getLogger("rtlab.realtime"))

    # What a server, or whoever has no server, calls

    def initialize(self) -> None:
        """Subscribe. `Server` does this before its first client; a plain server at its first one."""
        self.link.open()
        self.link.suspect()
        super().initialize()

    async def ready(self) -> None:
        """Wait until what other nodes say is heard here; for a `write_only` one, until Redis was looked at.

        Raises:
            UsageError: there is no server that could hear.
        """
        if self.write_only:
            await self.link.look()
            return
        if self.server is None:
            raise UsageError("Expected a manager that belongs to a server, or write_only=True: this one hears nothing.")
        if not self.server.manager_initialized:
            self.server.manager_initialized = True
            self.initialize()
        await self.subscription.subscribed.wait()

    async def aclose(self) -> None:
        """Close all connections to Redis. What waits is refused. A server that is started again opens them again."""
        tasks = {*self._tasks, *([self.thread] if self.thread is not None else [])} - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.thread = None
        await self._publisher.aclose()
        await self.link.aclose()
        if self.server is not None:
            self.server.manager_initialized = False

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **options: Any,
    ) -> None:
        """Emit on all nodes. Arguments are those of `socketio.AsyncServer.emit`.

        Raises:
            RedisUnavailable: nobody hears it.
            UsageError: the other nodes would not take it: too large, nested too deep, a reserved name.
            TypeError: it is no JSON.
        """
        target = target_of(to, room, getattr(self.server, "guards", None) or Guards())
        if target == []:
            return
        target, skip_sid = (
            list(each) if isinstance(each, tuple | set | frozenset) else each for each in (target, skip_sid)
        )
        await super().emit(event, data, namespace, room=target, skip_sid=skip_sid, callback=callback, **options)

    async def trigger_callback(self, sid: Any, id: int, data: Any) -> None:  # noqa: A002 - the library's name
        """A client has acknowledged."""
        self._elsewhere.pop(id, None)
        try:
            await super().trigger_callback(sid, id, data)
        finally:
            self._forget(sid, id)

    # To the other nodes

    async def _publish(self, data: dict[str, Any]) -> None:
        """Say something to the other nodes; then do here what everybody does.

        The message is held to what the other nodes take, and is delivered here as they read it.
        """
        try:
            text = self.json.dumps(data)
            raw = text.encode() if isinstance(text, str) else bytes(text)
            message = self._checked(raw)
            await self._publisher.publish(raw)
        except BaseException as error:
            if data.get("callback"):
                self._forget(data["callback"][0], data["callback"][2])
            if isinstance(error, NonsenseError):
                raise UsageError(f"Other nodes would not take this {data['method']}: {error}.") from None
            raise
        if data["method"] == "emit":
            await super()._handle_emit(message)
        elif data["method"] == "close_room":
            await super()._handle_close_room(message)

    async def _return_callback(self, *answer: Any) -> None:
        """Give the acknowledgement of a client to the node that has asked for it. Without Redis that one times out."""
        try:
            await super()._return_callback(*answer)
        except (RedisUnavailable, UsageError, TypeError):
            self._repeat_logger.exception("redis callback", "an acknowledgement for another node was lost")

    async def _handle_emit(self, message: dict[str, Any]) -> None:
        if message["host_id"] == self.host_id:
            return  # ours follows once it is published
        admit = self.admit.get(message["event"])
        if admit is None or admit(message):
            await super()._handle_emit(message)

    async def _handle_close_room(self, message: dict[str, Any]) -> None:
        if message["host_id"] != self.host_id:
            await super()._handle_close_room(message)

    async def _handle_disconnect(self, message: dict[str, Any]) -> None:
        if self.server is not None:  # else it is one that only writes
            await super()._handle_disconnect(message)

    async def _cannot_hear(self) -> str:
        """Why nothing may be published now: whoever has lost its subscription has it again before it speaks.

        The others have lost theirs at the same moment, when Redis went away, and look as often.
        """
        if self.thread is None:
            return ""
        try:
            async with asyncio.timeout(self.link.answer_s):
                await self.subscription.subscribed.wait()
        except TimeoutError:
            return f"no subscription within {self.link.answer_s:g} s"
        return ""

    def _generate_ack_id(self, sid: Any, callback: Any) -> int:
        """A number that no other callback of this manager has: a late answer finds its own callback, or none."""
        self.callbacks.setdefault(sid, {0: self._numbers})
        number: int = super()._generate_ack_id(sid, callback)
        if not any(sid in rooms.get(None, ()) for rooms in self.rooms.values()):  # else it goes with its client
            self._elsewhere[number] = sid
            if len(self._elsewhere) > MAX_CALLBACKS:
                oldest = next(iter(self._elsewhere))
                self._forget(self._elsewhere[oldest], oldest)
        return number

    def _forget(self, sid: Any, number: int) -> None:
        """Wait for an acknowledgement no more."""
        self._elsewhere.pop(number, None)
        waiting = self.callbacks.get(sid)
        if waiting is not None:
            waiting.pop(number, None)
            if waiting.keys() == {0}:
                del self.callbacks[sid]

    # From the other nodes

    async def _listen(self) -> AsyncGenerator[dict[str, Any], None]:
        """The messages of other nodes. What is none is counted. Never ends."""
        async with contextlib.aclosing(self.subscription.messages()) as published:
            async for raw in published:
                try:
                    message = self._checked(raw)
                except NonsenseError as error:
                    self._note(error.kind, error)
                    continue
                ours = message["host_id"] == self.host_id
                if ours if message["method"] == "callback" else not ours:
                    yield message

    async def _thread(self) -> None:
        """Do what other nodes ask for, one after the other; nothing that fails keeps the next from being done."""
        async with contextlib.aclosing(self._listen()) as messages:
            async for message in messages:
                try:
                    await self._obey(message)
                except Exception:
                    self.nonsense["failed"] += 1
                    self._repeat_logger.exception("channel failed", "this %s failed here", message["method"])

    async def _obey(self, message: dict[str, Any]) -> None:
        method = message["method"]
        if method == "emit":
            await self._handle_emit(message)
        elif method == "enter_room":
            await self._handle_enter_room(message)
        elif method == "leave_room":
            await self._handle_leave_room(message)
        elif method == "close_room":
            await self._handle_close_room(message)
        elif method == "disconnect":
            await self._begin(self._handle_disconnect(message))
        elif message["id"] in self.callbacks.get(message["sid"], ()):
            await self._begin(self._handle_callback(message))
        else:
            self._note("unknown_callback", f"expected an acknowledgement that is waited for, got id {message['id']}")

    async def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have handlers of the application run beside: a slow one must not keep this node from hearing the others."""
        while len(self._tasks) >= MAX_TASKS:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self._repeat_logger.exception("channel handler", "a handler failed that another node had asked for")

    def _checked(self, raw: bytes) -> dict[str, Any]:
        # NaN is no JSON: it ends a connection to JavaScript. Only MessagePack can say it.
        finite = self.server is not None and not issubclass(self.server.packet_class, MsgPackPacket)
        return checked(raw, self.json.loads, self._max_message_bytes, finite=finite)

    def _note(self, kind: str, problem: object) -> None:
        self.nonsense[kind] += 1
        of_kind = f"channel {kind}"
        self._repeat_logger.log(logging.WARNING, of_kind, "nonsense on channel %r: %s", self.channel, problem)
