"""When workers are ready: each answers HTTP, and a message has crossed from each to each other.

What lives here: `answers` and `Crossing`, the cluster's side of it; a worker's is in `offering`. For each worker a
client connects, past the balancer, and asks it to emit to everybody; all clients then have to hear of it. That is asked
again and again until it is so, since a worker that has just started may not have subscribed yet.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohttp
import socketio

from rtlab.scale.offering import CROSS, CROSSED, NAMESPACE
from rtlab.scale.together import together
from rtlab.scale.workers import Worker

__all__ = ["ANSWER_S", "CROSS_S", "Crossing", "answers"]

ANSWER_S = 10.0
"""Seconds that a worker has to answer a request or let a client in, once it listens."""
CROSS_S = 10.0
"""Seconds that messages have to cross, once all clients are connected. It takes milliseconds."""
AGAIN_S = 0.1
"""Seconds between two attempts."""
SHOWN_PAIRS = 6
"""Ways that an error lists: all of three workers. 64 workers have 4,032."""
MANAGER_LINE = 'socketio.AsyncServer(client_manager=socketio.AsyncRedisManager(os.environ["REDIS_URL"]), …)'


async def answers(worker: Worker) -> None:
    """Wait until a worker has answered a request: with whatever status, since not every app has something at ``/``.

    Raises:
        ChildError: it has not. The message shows its last lines.
    """
    problem = ""
    try:
        async with asyncio.timeout(ANSWER_S), aiohttp.ClientSession() as http:
            async with http.get(worker.url, allow_redirects=False):
                return
    except TimeoutError:
        problem = f"gave no answer to a request within {ANSWER_S:g} s"
    except (aiohttp.ClientError, OSError) as error:
        problem = f"gave no answer to a request: {error}"
    raise worker.failure(problem)


class Crossing:
    """Whether messages cross between workers.

    Args:
        key: lets us into their namespace.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    async def check(self, workers: Sequence[Worker], new: Worker | None = None) -> None:
        """Wait until a message has crossed from each worker to each other; at once where there is no Socket.IO.

        Args:
            workers: those to look at.
            new: only what comes from and goes to this one.

        Raises:
            ChildError: that was not so in time; the message says between which, and what to do.
        """
        asked = [worker for worker in workers if worker.offer.path is not None]
        if len(asked) < 2:
            return
        for worker in asked:
            if worker.offer.alone:
                raise worker.failure(
                    f"cannot reach the clients of other workers: its client manager is {worker.offer.manager}, which "
                    f"knows one process. Expected {MANAGER_LINE}. If that is what you want to see, say crosses=False."
                )
        token = secrets.token_hex(8)
        heard: dict[str, set[str]] = {worker.name: set() for worker in asked}
        async with AsyncExitStack() as stack:
            coming = [self._client(worker, heard[worker.name], token) for worker in asked]
            clients = await together(stack.enter_async_context(each) for each in coming)
            missing = _missing(heard, new)
            deadline = asyncio.get_running_loop().time() + CROSS_S
            while missing and asyncio.get_running_loop().time() < deadline:
                for client in clients:
                    with suppress(socketio.exceptions.SocketIOError):  # its worker has gone: that is seen soon enough
                        await client.emit(CROSS, token, namespace=NAMESPACE)
                await asyncio.sleep(AGAIN_S)
                missing = _missing(heard, new)
        if missing:
            source = next(worker for worker in asked if worker.name == missing[0][0])
            pairs = ", ".join(f"from {sender} to {receiver}" for sender, receiver in missing[:SHOWN_PAIRS])
            pairs += f" and {len(missing) - SHOWN_PAIRS} other ways" * (len(missing) > SHOWN_PAIRS)
            raise source.failure(
                f"is up, but no message crossed within {CROSS_S:g} s {pairs}. Either Redis does not answer, or the "
                f"client manager of one ({source.offer.manager}) is not on the same Redis and channel: expected "
                f"{MANAGER_LINE}. To start without this, say crosses=False."
            )

    @asynccontextmanager
    async def _client(self, worker: Worker, heard: set[str], token: str) -> AsyncIterator[Any]:
        """A client of one worker, that notes whose message it hears."""

        def crossed(data: Any) -> None:
            if isinstance(data, list) and len(data) == 2 and data[1] == token:
                heard.add(str(data[0]))

        problem = ""
        async with aiohttp.ClientSession() as http:  # ours, so that it is closed whatever happens
            for transports in (None, ["websocket"]):  # an app may have only one of them
                client = socketio.AsyncClient(
                    handle_sigint=False, reconnection=False, serializer=worker.offer.serializer, http_session=http
                )
                client.on(CROSSED, crossed, namespace=NAMESPACE)
                try:
                    async with asyncio.timeout(ANSWER_S):
                        await client.connect(
                            worker.url,
                            auth={"key": self._key},
                            transports=transports,
                            namespaces=[NAMESPACE],
                            socketio_path=worker.offer.path,
                            wait_timeout=ANSWER_S,
                        )
                except (TimeoutError, socketio.exceptions.ConnectionError) as error:
                    problem = str(error) or f"no answer within {ANSWER_S:g} s"
                    await client.disconnect()
                else:
                    try:
                        yield client
                    finally:
                        await client.disconnect()
                    return
        raise worker.failure(
            f"is up, but its Socket.IO server at {worker.offer.path} did not let the cluster in, which has to see that "
            f"messages cross: {problem}. To start without this, say crosses=False."
        )


def _missing(heard: dict[str, set[str]], new: Worker | None) -> list[tuple[str, str]]:
    """From whom to whom nothing has crossed yet."""
    return [
        (sender, receiver)
        for sender in heard
        for receiver, names in heard.items()
        if sender != receiver and sender not in names and (new is None or new.name in {sender, receiver})
    ]
