"""What a behaviour is, and the registry of them all.

What lives here: `behaviour`, which registers one, and `outcomes`, which shows them on a server. It must not know which
server that is.

A behaviour is a coroutine function with a docstring of one line, which is its row in the table of gaps. It never waits
for something not to happen: it asks for something else, and sees what comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from deadlines import WAIT_S
from realtime.conformance.lab import Lab
from realtime.conformance.servers import CALM, CONFIGURATIONS, Configuration

__all__ = ["BEHAVIOURS", "Behaviour", "Outcomes", "behaviour", "outcomes"]

AT_ONCE = 12
"""How many behaviours are shown at the same time: most of their time is waiting."""


@dataclass(frozen=True)
class Behaviour:
    """One thing that a server does."""

    show: Callable[[Lab], Awaitable[None]]
    """Raises AssertionError, or some error of a connection, where the server does otherwise."""
    rule: str
    """Who says so: a document and its section, or Node, where the documents are silent."""
    configuration: Configuration

    @property
    def name(self) -> str:
        """To select it by, and to list it under in the table of known gaps."""
        suffix = " (MessagePack)" if self.configuration.msgpack else ""
        return f"{self.show.__name__}{suffix}"

    @property
    def title(self) -> str:
        """In words."""
        suffix = " (MessagePack)" if self.configuration.msgpack else ""
        return f"{(self.show.__doc__ or '').strip().rstrip('.')}{suffix}"

    async def run(self, url: str, *, within_s: float = WAIT_S) -> None:
        """Show it on a server."""
        async with Lab(url, self.configuration) as lab:
            try:
                async with asyncio.timeout(within_s):
                    await self.show(lab)
            except TimeoutError:
                raise AssertionError("an answer: expected one, and none came") from None


Outcomes = dict[str, Exception | None]
"""What went wrong with each behaviour, by its name; None is what one hopes for."""
BEHAVIOURS: list[Behaviour] = []
"""All of them, in the order of their modules."""


def behaviour(rule: str, *configurations: Configuration) -> Callable[[Any], Any]:
    """Register a behaviour, once for each configuration in which it is to be shown (the calm one by default)."""

    def register(show: Callable[[Lab], Awaitable[None]]) -> Callable[[Lab], Awaitable[None]]:
        assert all(each in CONFIGURATIONS for each in configurations)
        BEHAVIOURS.extend(Behaviour(show, rule, each) for each in configurations or (CALM,))
        return show

    return register


async def outcomes(url: str, behaviours: Iterable[Behaviour], limit_s: Callable[[Behaviour], float]) -> Outcomes:
    """Show behaviours on a server, several at a time; gives what went wrong, by their names.

    Args:
        url: of the server.
        behaviours: what is to be shown.
        limit_s: how many seconds each of them has.
    """
    found: Outcomes = {}
    places = asyncio.Semaphore(AT_ONCE)

    async def show(each: Behaviour) -> None:
        async with places:
            try:
                await each.run(url, within_s=limit_s(each))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what the server got wrong
                found[each.name] = error
            else:
                found[each.name] = None

    await asyncio.gather(*map(show, behaviours))
    return found
