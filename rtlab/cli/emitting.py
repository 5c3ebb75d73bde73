"""The command ``rtlab emit``.

What lives here: the command alone. Everything but click is imported when it needs it.
"""

from __future__ import annotations

import os
import sys

import click

from rtlab.errors import UsageError

__all__ = ["emit"]


@click.command(short_help="Send an event to a room of running Socket.IO servers, through their Redis.")
@click.argument("room")
@click.argument("event")
@click.argument("data", metavar="JSON")
@click.option("--redis", "url", metavar="URL", help="The Redis that the servers share.  [default: REDIS_URL]")
@click.option("--namespace", default="/", show_default=True, help="The Socket.IO namespace of the room.")
def emit(room: str, event: str, data: str, url: str | None, namespace: str) -> int:
    """Send EVENT to everybody in ROOM, whatever server they are connected to.

    This process is no server and has no clients. It publishes the event on Redis, and each Socket.IO server that
    listens there (python-socketio with AsyncRedisManager, or a worker of rtlab's) sends it to the members that it has.

    \b
      rtlab emit chat:lobby news '{"text": "Tea is ready."}'
      rtlab emit chat:lobby news '"just a text"'
      rtlab emit topic:weather notification '{"topic": "weather"}' --namespace /notifications

    JSON is the event's one argument; null for none that matters; - reads it from standard input. ROOM is a Socket.IO
    room; a chat's room "lobby" is named chat:lobby there. The chat keeps no history of what is sent this way.

    The same in Python:

    \b
      import socketio
      manager = socketio.AsyncRedisManager(url, write_only=True)
      await manager.emit("news", {"text": "Tea is ready."}, room="chat:lobby")

    A URL with a password is better kept in the environment variable REDIS_URL: what stands on a command line, every
    user of the machine can read.
    """
    import asyncio

    from rtlab.scale.emitting import emit_from_outside, parse_json

    url = url or os.environ.get("REDIS_URL")
    if not url:
        raise click.UsageError(
            "Which Redis? Give --redis URL, or set REDIS_URL: redis://HOST:6379/0. (`rtlab serve chat --workers 3` "
            "uses the one that REDIS_URL names; without it, its own has a random password, which nobody else has.)"
        )
    text = sys.stdin.read() if data == "-" else data
    servers = asyncio.run(emit_from_outside(url, room, event, parse_json(text), namespace=namespace))
    if servers == 0:
        raise UsageError(
            "No Socket.IO server listens on that Redis, so nobody got it. A server that has had no client since it "
            "started does not listen yet."
        )
    click.echo(f"{event} sent to {room}: {servers} server{'s' if servers != 1 else ''} on {namespace}")
    return 0
