"""Emitting from outside: a program that is no Socket.IO server has its event sent by those that are, through Redis.

What lives here: `emit_from_outside`, below the command ``rtlab emit``. Its heart are two lines of python-socketio, a
manager that only writes; the rest says what went wrong, which a write-only manager does not: it logs an error, and
returns. It must not know what the servers are.

Source: https://python-socketio.readthedocs.io/en/stable/server.html#emitting-from-external-processes.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import socketio
from redis.exceptions import RedisError

from rtlab.errors import RedisUnavailable, UsageError
from rtlab.realtime.nodes.manager import RedisManager
from rtlab.realtime.nodes.opening import shown
from rtlab.realtime.nodes.sentinel import is_sentinel_url
from rtlab.scale.redis_url import client_of, problem_with

__all__ = ["ANSWER_S", "CHANNEL", "MOST_BYTES", "check_event", "emit_from_outside", "parse_json"]

CHANNEL = "socketio"
"""Where the servers listen: the default of `socketio.AsyncRedisManager`."""
ANSWER_S = 5.0
"""Seconds that Redis has for each answer."""
MOST_BYTES = 1_000_000
"""Of JSON: what python-socketio lets a client send, so that clients of other libraries take it too."""
RESERVED = ("connect", "connect_error", "disconnect")
"""Events that Socket.IO itself sends (Socket.IO protocol, revision 5)."""
WHITESPACE = " \t\r\n"


def parse_json(text: str) -> Any:
    """The value that a JSON text stands for (RFC 8259).

    Raises:
        UsageError: it is none; the message says where and what is missing.
    """
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise UsageError(f"The JSON is longer than {MOST_BYTES:,} bytes.")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        word = text.strip(WHITESPACE)
        hint = ""
        if not word:
            hint = " For an event without data, write null."
        elif word[0] not in '{["':
            hint = (
                f" A text stands in double quotes, and the shell needs single ones around them: '{json.dumps(word)}'."
            )
        elif "'" in word:
            hint = " JSON has double quotes only."
        shown_text = text if len(text) <= 80 else f"{text[:80]} …"
        raise UsageError(f"Expected JSON, got {shown_text!r}: {error}.{hint}") from None
    except RecursionError:
        raise UsageError("The JSON is nested too deeply.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def check_event(room: str, event: str, namespace: str) -> None:
    """Raises UsageError for a room, an event or a namespace that there cannot be."""
    if not room:
        raise UsageError("Expected the name of a room, got an empty one.")
    if not event or event in RESERVED:
        raise UsageError(
            f"Expected the name of an event, got {event!r}" + (", which Socket.IO itself sends." * bool(event))
        )
    if not namespace.startswith("/"):
        raise UsageError(f"A namespace begins with a slash: expected '/{namespace}', got {namespace!r}.")


async def emit_from_outside(url: str, room: str, event: str, data: Any, *, namespace: str = "/") -> int:
    """Have an event sent to everybody in a room, on whatever server they are.

    Args:
        url: of the Redis that the servers share.
        room: a Socket.IO room.
        event: its name.
        data: its argument, of what JSON has.
        namespace: where the room is.

    Returns:
        How many servers listen there. Whether anybody is in the room, Redis does not know.

    Raises:
        UsageError: Redis does not answer, or an argument is wrong.
    """
    check_event(room, event, namespace)
    listening = await _listening(url)
    if is_sentinel_url(url):
        await _emit_at_the_primary(url, room, event, data, namespace)
        return listening
    failures = _Failures()
    logger = logging.Logger("rtlab.emit")
    logger.addHandler(failures)
    options = {"socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S}
    manager = socketio.AsyncRedisManager(url, write_only=True, logger=logger, redis_options=options)
    try:
        await manager.emit(event, data, room=room, namespace=namespace)
    finally:
        if manager.redis is not None:
            await manager.redis.aclose()
    if failures.last is not None:
        raise UsageError(f"{shown(url)} did not take the event: {failures.last}")
    return listening


async def _emit_at_the_primary(url: str, room: str, event: str, data: Any, namespace: str) -> None:
    """By a manager of ours: python-socketio's has no password for the sentinels."""
    manager = RedisManager(url, write_only=True)
    try:
        await manager.emit(event, data, room=room, namespace=namespace)
    except RedisUnavailable as error:
        raise UsageError(f"{shown(url)} did not take the event: {error.problem}") from None
    finally:
        await manager.aclose()


async def _listening(url: str) -> int:
    """How many have subscribed to the servers' channel."""
    try:
        client = client_of(url)
    except ValueError as error:
        raise UsageError(f"{shown(url)!r} is no URL of a Redis: {error}.") from None
    try:
        async with client, asyncio.timeout(ANSWER_S):
            [(_, count)] = await client.pubsub_numsub(CHANNEL)
            return int(count)
    except TypeError as error:  # a parameter in the query that redis-py does not know
        raise UsageError(f"{shown(url)} is no URL of a Redis: {error}.") from None
    except (RedisError, OSError) as error:  # a time-out is an OSError
        raise UsageError(f"No answer from {shown(url)}: {problem_with(error, url, ANSWER_S)}") from None


class _Failures(logging.Handler):
    """Keeps why a manager could not publish; it tells its log only."""

    last: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a line of its log. "retrying" is none yet."""
        if "giving up" in record.getMessage():
            self.last = str(getattr(record, "redis_exception", record.getMessage()))
