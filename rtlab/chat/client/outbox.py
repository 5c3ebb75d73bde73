"""Messages on their way: each is sent until the server has acknowledged it or definitely refused it.

What lives here: `PostOutbox`, and `Posted`, one message in it. It must not know how a message is sent, only what an
attempt can come to: `Sent`, a refusal of the server's, or no answer. The rules:

- one message of a room at a time, in the order of `add`: a retry must not overtake what was written before it;
- every attempt has the same id, so that the server stores the message once;
- a message that is refused does not stop those behind it;
- a message on which the connection ends again and again may be why it ends: it is given up, so that those behind it
  arrive. Several rooms may have a message on its way when the connection ends; all of them are suspects then, and go
  one at a time until it is known which one it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from rtlab.chat.client.pacing import Backoff, Pace
from rtlab.errors import ChatError, ChatUnansweredError

__all__ = ["ENDS", "FAILURES", "OUTBOX_BYTES", "OUTBOX_MESSAGES", "PostOutbox", "Posted", "Sent"]

OUTBOX_MESSAGES = 1_000
"""Messages that wait, of all rooms together: 50 seconds of what the chat takes from one user."""
OUTBOX_BYTES = 4_000_000
"""Bytes of UTF-8 of their texts: 1,000 texts of 1,000 four-byte characters."""
ENDS = 5
"""How often in a row the connection may end while a message is on its way, before the message is given up."""
FAILURES = 5
"""How often in a row the server may fail over a message, before the message is given up."""
FAILING = {"server_error", "unknown"}
"""What a failing server answers: that it failed, or nothing that means anything."""
AGAIN = {"draining", "gone", "rate_limited", "server_error", "unavailable"}
"""What a server answers that may take the same message later. Every other code is a definite refusal."""


@dataclass(frozen=True)
class Sent:
    """What a message was answered."""

    id: str
    """The server's own id of the message."""
    offset: str
    """Where it stands in its room."""


@dataclass(eq=False)
class Posted:
    """A message that was given to `Client.post`. ``await`` it: that gives `Sent`, or raises why it was not sent.

    To cancel the waiting does not take the message back.
    """

    room: str
    """Where it goes."""
    text: str
    """What it says."""
    client_id: str
    """The same in every attempt to send it, so that it has one effect."""
    attempts: int = 0
    """How often it has left the client. If this is not 0, the server may have it."""
    sent: Sent | None = None
    """Where the server has stored it; None until it is acknowledged."""
    problem: ChatError | None = None
    """Why it will not be sent; None while it may be."""
    _settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def done(self) -> bool:
        """Whether it is acknowledged, refused or given up."""
        return self._settled.is_set()

    def settle(self, result: Sent | ChatError) -> None:
        """It is over with this message. Its `PostOutbox` calls it."""
        if isinstance(result, ChatError):
            self.problem = result
        else:
            self.sent = result
        self._settled.set()

    def __await__(self) -> Generator[Any, None, Sent]:
        return self._outcome().__await__()

    async def _outcome(self) -> Sent:
        await self._settled.wait()
        if self.sent is not None:
            return self.sent
        assert self.problem is not None
        raise type(self.problem)(self.problem.code, self.problem.message)  # a new one: it may be awaited more than once


class PostOutbox:
    """Messages to send.

    Args:
        ready: comes back when the client is connected and in its rooms. Raises ChatError when it never will be again.
        send: makes one attempt. What it emits has left before it first waits. Raises ChatError.
    """

    def __init__(self, ready: Callable[[], Awaitable[None]], send: Callable[[Posted], Awaitable[Sent]]) -> None:
        self._ready = ready
        self._send = send
        self._queues: dict[str, deque[Posted]] = {}
        """By room, and what is first is on its way. No queue is empty."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._bytes = 0
        self._count = 0
        self._pace = Pace()
        self._suspects = asyncio.Lock()
        self._news = asyncio.Event()
        self._over: ChatError | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def unsent(self) -> tuple[Posted, ...]:
        """What is not acknowledged, refused or given up; by room, each in its order."""
        return tuple(posted for queue in self._queues.values() for posted in queue)

    def add(self, room: str, text: str, client_id: str) -> Posted:
        """Put a message into the queue of its room.

        Raises:
            ChatError: there is no place for it (``outbox_full``), or the connection is over (``gone``).
        """
        if self._over is not None:
            raise ChatError(self._over.code, self._over.message)
        size = len(text.encode())
        if self._count >= OUTBOX_MESSAGES or self._bytes + size > OUTBOX_BYTES:
            raise ChatError("outbox_full", self._full(size))
        posted = Posted(room, text, client_id)
        self._count += 1
        self._bytes += size
        if room in self._queues:
            self._queues[room].append(posted)
        else:
            self._queues[room] = deque([posted])
            self._tasks[room] = asyncio.get_running_loop().create_task(self._work(room))
        return posted

    async def flush(self) -> None:
        """Wait until nothing is left to send.

        Raises:
            ChatError: the connection is over, and something is left.
        """
        while self._count and self._over is None:
            await self._news.wait()
        if self._count and self._over is not None:
            raise ChatError(self._over.code, f"{self._over.message} {self.left()}")

    def left(self) -> str:
        """What is left to send, as a sentence."""
        each = ", ".join(f"{len(queue)} in {room}" for room, queue in list(self._queues.items())[:3])
        more = f" and {len(self._queues) - 3} other rooms" if len(self._queues) > 3 else ""
        return f"Not acknowledged: {self._count} ({each}{more})."

    def end(self, why: ChatError) -> list[asyncio.Task[None]]:
        """The connection is over. Whoever awaits a message gets this; `unsent` still has them all. Gives the tasks that
        have to end."""
        if self._over is None:
            self._over = why
            for posted in self.unsent:
                posted.settle(why)
            self._wake()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        return tasks

    # What happens in a room's task

    async def _work(self, room: str) -> None:
        queue = self._queues[room]
        while queue:
            posted = queue[0]
            result = await self._deliver(posted)
            if self._over is not None:
                return
            queue.popleft()
            self._count -= 1
            self._bytes -= len(posted.text.encode())
            if not queue:
                del self._queues[room], self._tasks[room]
            posted.settle(result)
            self._wake()

    async def _deliver(self, posted: Posted) -> Sent | ChatError:
        """Send one message until there is an end of it."""
        backoff = Backoff()
        ends = failures = 0
        while True:
            try:
                async with self._suspects if ends else contextlib.nullcontext():
                    return await self._attempt(posted)
            except ChatError as problem:
                code = problem.code
                if code not in AGAIN and not isinstance(problem, ChatUnansweredError):
                    return problem
                failures = failures + 1 if code in FAILING else 0
                if failures == FAILURES:
                    said = f"{problem.message} That was attempt {posted.attempts}; the message is given up."
                    return ChatUnansweredError(code, said)
            if self._over is not None:
                return self._over
            ends = ends + 1 if code == "gone" else 0
            if ends == ENDS:
                said = f"Each of the last {ENDS} times that this was sent, the connection ended. It is given up."
                return ChatUnansweredError("cut", f"{said} Whether it was stored is unknown.")
            if code == "rate_limited":
                self._pace.refused(time.monotonic())
            else:
                await asyncio.sleep(backoff.next())

    async def _attempt(self, posted: Posted) -> Sent:
        while True:
            await self._ready()
            if (wait := self._pace.take(time.monotonic())) == 0:
                break
            await asyncio.sleep(wait)
        posted.attempts += 1  # nothing was awaited since the client was ready
        sent = await self._send(posted)
        self._pace.accepted()
        return sent

    def _full(self, size: int) -> str:
        return (
            f"The outbox takes {OUTBOX_MESSAGES:,} messages and {OUTBOX_BYTES:,} bytes; it has {self._count:,} and "
            f"{self._bytes:,}, and this one has {size:,}. Await one that was posted, or flush(), and post it again."
        )

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
