"""One client of a soak: it writes, reads, leaves rooms and comes back, and takes a last look.

What lives here: `Writer`. What its client sees, a `Witness` writes down. It must not know which faults come, and does
nothing otherwise because of them: what a message needs to arrive is the client's business.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtlab.chat.stores.protocols import position
from rtlab.errors import ChatError, ChatUnansweredError

if TYPE_CHECKING:
    from rtlab.chat import Client
    from rtlab.instruments.soaking.witness import Witness

__all__ = ["Writer"]

WINDOW = 8
"""Messages of a client that wait for an acknowledgement, at most; it writes the next when one of them is answered."""
LEAVES = 0.01
"""How likely it is that a client leaves the room after a message, and joins it again."""
AGAIN_S = 0.2
"""Seconds before something is asked again that failed."""
FILLER = "lorem ipsum dolor sit amet consectetur " * 20
"""Texts have different lengths."""

PASSING = {"rate_limited", "server_error", "unavailable"}
"""Why a server does not do just now what it will do later."""
SHOWN = 3
"""Messages that are named of those that were given up."""

Next = Callable[[], Awaitable[int | None]]


@dataclass(frozen=True)
class _Read:
    """A message as the application got it."""

    offset: str
    id: str | None
    text: str


class Writer:
    """One client.

    Args:
        client: connected.
        witness: that watches it.
        rooms: that it writes in.
        seed: decides what it writes where.
    """

    def __init__(self, client: Client, witness: Witness, rooms: tuple[str, ...], seed: int) -> None:
        self.name = witness.name
        self.client = client
        self.witness = witness
        self.texts: dict[str, str] = {}
        """By message: what it says. A message is called what its client calls it: "ann:17"."""
        self.given_up: dict[str, ChatError] = {}
        """By message: why it was not sent."""
        self._read: dict[str, list[_Read]] = {}
        """By room: what the client has handed over as it came."""
        self._fetched: dict[str, list[_Read]] = {}
        """By room: what the answers of joins had in them."""
        self._rooms = rooms
        self._random = random.Random(f"{seed} {self.name}")  # noqa: S311 - it has to repeat
        self._window = asyncio.Semaphore(WINDOW)
        self._waiting: set[asyncio.Task[None]] = set()
        self._messages = client.messages()
        self._reading = asyncio.create_task(self._take_in(), name=f"{self.name} reads")

    async def enter(self) -> None:
        """Join the rooms."""
        for room in self._rooms:
            await self._join(room)

    async def write(self, take: Next) -> None:
        """Write messages as long as there are any.

        Args:
            take: waits for the turn to write one, and gives None when there are no more.
        """
        number = 0
        while await take() is not None:
            number += 1
            room = self._random.choice(self._rooms)
            name = f"{self.name}:{number}"
            self.texts[name] = f"{name} {FILLER[: self._random.randrange(len(FILLER))]}".rstrip()
            await self._window.acquire()
            task = asyncio.create_task(self._post(room, name), name=f"{self.name} posts")
            self._waiting.add(task)
            task.add_done_callback(self._answered)
            if self._random.random() < LEAVES:
                await self._leave_and_return(room)

    async def answered(self) -> None:
        """Wait until every message has been acknowledged or refused."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def look(self) -> None:
        """Take a last look into each room: everything up to its end is here then."""
        for room in self._rooms:
            await self._join(room, self.witness.ends.get(room))
            self.witness.settled(room)

    async def close(self) -> None:
        """End the connection."""
        ending = [*self._waiting, self._reading]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)
        await self.client.close()
        if not self._reading.cancelled():
            self._reading.result()

    def names(self) -> dict[str, str]:
        """By the ids of the messages that it has read: what their writers call them, which the texts begin with."""
        return {
            each.id: each.text.partition(" ")[0]
            for reads in (self._read, self._fetched)
            for each in itertools.chain.from_iterable(reads.values())
            if each.id is not None
        }

    def complaints(self, texts: Mapping[str, str]) -> list[str]:
        """What is wrong with what its client has handed over, in sentences.

        The checker judges what the client said to its observer. This holds what the application was given to that.

        Args:
            texts: by message: what all clients have written.
        """
        said = [f"{self.name} gave up {name}: {error}" for name, error in list(self.given_up.items())[:SHOWN]]
        if self._messages.dropped:
            said.append(f"{self.name} read too slowly: {self._messages.dropped} messages were dropped")
        for room, handed in self.witness.handed.items():
            read, fetched = self._read.get(room, []), self._fetched.get(room, [])
            told = {each.offset for each in (*read, *fetched)}
            if told != set(handed):
                odd = sorted(told ^ set(handed), key=position)
                said.append(
                    f"{self.name} was handed {len(told)} messages of {room}, and its observer was told of "
                    f"{len(set(handed))}. One that differs: {odd[0]}"
                )
            wrong = [each for each in (*read, *fetched) if texts.get(each.text.partition(" ")[0]) != each.text]
            if wrong:
                said.append(f"{self.name} was handed a text in {room} that nobody has written: {wrong[0].text!r:.80}")
        return said

    async def _join(self, room: str, after: str | None = None) -> None:
        joined = await _until_done(self.client.join, room, after)
        self._fetched.setdefault(room, []).extend(map(_as_read, joined.history))

    async def _leave_and_return(self, room: str) -> None:
        """Be no member for a moment, and come back: knowing what is there, or as for the first time."""
        await self.answered()
        end = self.witness.ends.get(room)
        await _until_done(self.client.leave, room)
        await self._join(room, end if self._random.random() < 0.5 else None)

    async def _post(self, room: str, name: str) -> None:
        while True:
            try:
                await self.client.post(room, self.texts[name], client_id=name)
            except ChatError as error:
                if error.code == "outbox_full":
                    await asyncio.sleep(AGAIN_S)
                    continue
                self.given_up[name] = error
            return

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        self._window.release()
        if not task.cancelled():
            task.result()

    async def _take_in(self) -> None:
        async for message in self._messages:
            self._read.setdefault(message["room"], []).append(_as_read(message))


def _as_read(record: Mapping[str, Any]) -> _Read:
    return _Read(record["offset"], record.get("clientId"), record["text"])


async def _until_done(ask: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
    """Ask until the server has done it.

    Raises:
        ChatError: the client's connection is over, or the server refuses for a reason that does not pass.
    """
    while True:
        try:
            return await ask(*arguments)
        except ChatUnansweredError:
            pass
        except ChatError as error:
            if error.code not in PASSING:
                raise
        await asyncio.sleep(AGAIN_S)
