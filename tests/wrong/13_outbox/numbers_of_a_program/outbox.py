"""Fails: test_shares_no_id

The ids are counted for all outboxes of the program, and from 1 again when it is started again.
"""

import asyncio
import itertools
import logging
from collections import defaultdict
from typing import Any

import socketio
from socketio.exceptions import SocketIOError

ANSWER_S = 0.5
"""Seconds after which an attempt counts as not answered."""
PAUSE_S = 0.15
"""Seconds between two attempts."""
NOT_NOW = {"rate_limited", "unavailable"}
"""Codes after which the same attempt may succeed a moment later."""

logger = logging.getLogger(__name__)


class RefusedError(Exception):
    """The chat has answered with an error that will not pass."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


NUMBERS = itertools.count(1)


class Outbox:
    """Sends messages to rooms of the course's chat, and fetches what was missed, over connections that break."""

    def __init__(self, client: socketio.AsyncClient) -> None:
        self._client = client
        self._marks: dict[str, str] = {}  # of each room: the offset up to which its messages were given
        self._sending: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._joining = asyncio.Lock()
        self._resuming = asyncio.Lock()
        client.on("chat:history", self._keep_page)

    async def send(self, room: str, text: str) -> str:
        """Store a message in a room, once, and give the id that the server has given to it."""
        message = {"room": room, "text": text, "clientId": f"m-{next(NUMBERS)}"}
        async with self._sending[room]:
            if room not in self._marks:
                await self._enter(room)
            while True:
                try:
                    ack = await self._ask("chat:message", message)
                except RefusedError as refusal:
                    if refusal.code != "not_a_member":
                        raise
                    await self._enter(room)
                else:
                    stored: str = ack["id"]
                    return stored

    async def resume(self) -> list[dict[str, Any]]:
        """Give what was said in all rooms and not given yet: each message once."""
        async with self._resuming:
            marks = dict(self._marks)
            missed: list[dict[str, Any]] = []
            for room in marks:
                last = False
                while not last:
                    try:
                        ack, page = await self._join({"room": room, "after": marks[room]})
                    except RefusedError:
                        del self._marks[room]
                        raise
                    if ack["lost"]:
                        logger.warning("messages of %s after %s are lost", room, marks[room])
                    missed += page
                    marks[room] = ack["offset"]
                    last = ack["missed"] <= len(page)
            self._marks.update(marks)  # all of it is given now
            return missed

    async def _enter(self, room: str) -> None:
        ack, _ = await self._join(room)
        self._marks.setdefault(room, ack["offset"])

    async def _join(self, payload: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Join a room. Gives the ack, and the page of history that came before it."""
        async with self._joining:  # a page does not say which join it belongs to
            ack = await self._ask("chat:join", payload)
            return ack, self._page

    def _keep_page(self, page: list[dict[str, Any]]) -> None:
        self._page = page

    async def _ask(self, event: str, payload: Any) -> dict[str, Any]:
        """Ask until there is an answer that is no "not now"."""
        while True:
            try:
                ack: dict[str, Any] = await self._client.call(event, payload, timeout=ANSWER_S)
            except SocketIOError:
                pass  # no answer, or no connection
            else:
                if ack["status"] == "ok":
                    return ack
                if ack["code"] not in NOT_NOW:
                    raise RefusedError(ack["code"], ack["message"])
            await asyncio.sleep(PAUSE_S)
