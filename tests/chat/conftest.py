"""A Valkey for the tests of what the chat keeps in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from rtlab.errors import MissingProgramError
from rtlab.scale.broker import Broker, start_broker
from rtlab.servers import programs


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    """The address of a Valkey of our own. Whoever uses it empties it first."""
    try:
        programs.valkey()
    except MissingProgramError as error:
        pytest.skip(str(error))

    async def start() -> Broker:
        return await start_broker()

    async def stop() -> None:
        await broker.stop()

    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("REDIS_URL", raising=False)
        broker = asyncio.run(start())
    try:
        yield broker.url
    finally:
        asyncio.run(stop())
