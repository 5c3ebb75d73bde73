"""What a worker offers its cluster: a namespace through which the cluster sees that messages cross between workers.

What lives here: `offer`, which finds the Socket.IO server in whatever app a worker runs and adds the namespace, and
`Offer`, what the cluster is told about it. It runs in the worker, and must not know how the cluster asks (`readiness`).

The namespace stays for as long as the worker runs, since the cluster asks again after each restart. Nobody but the
cluster is let in: its key is new for each cluster, comes in the environment, and is not passed on from there.
"""

from __future__ import annotations

import hmac
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["CROSS", "CROSSED", "NAMESPACE", "Offer", "offer"]

NAMESPACE = "/rtlab-ready"
CROSS = "cross"
"""Asks a worker to emit `CROSSED` to everybody in the namespace, on whatever worker they are."""
CROSSED = "crossed"
"""Carries the worker that has emitted it, and what its asker has sent along."""
DEPTH = 5
"""Levels of apps within apps that are looked into."""


@dataclass(frozen=True)
class Offer:
    """What a worker says about its app, once it listens."""

    path: str | None = None
    """Where its Socket.IO server answers; None if it has none."""
    serializer: str = "default"
    """How packets are encoded: "default" or "msgpack"."""
    manager: str = ""
    """The class of its client manager."""
    alone: bool = False
    """Whether that manager knows its own process only."""

    def to_bytes(self) -> bytes:
        """As it goes through the pipe: short enough to be written at once (pipe(7), PIPE_BUF)."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What a worker has said."""
        return cls(**json.loads(data))


def offer(app: object, name: str, key: str) -> Offer:
    """Add the namespace to the Socket.IO server that an app runs.

    Args:
        app: of any kind that the lab runs.
        name: of this worker.
        key: lets the cluster in.
    """
    for sio, path in _servers(app, "", DEPTH):
        _add_namespace(sio, name, key.encode())
        packets = "msgpack" if any("msgpack" in each.__module__ for each in sio.packet_class.__mro__) else "default"
        return Offer(
            f"/{path.strip('/')}/".replace("//", "/"),
            packets,
            type(sio.manager).__name__,
            _knows_one_process(sio.manager),
        )
    return Offer()


def _knows_one_process(manager: Any) -> bool:
    """Whether it is python-socketio's own manager for one process. What a learner has made of that may cross."""
    from socketio.async_pubsub_manager import AsyncPubSubManager

    own = all(each is object or each.__module__.startswith(("socketio.", "rtlab.")) for each in type(manager).__mro__)
    return own and not isinstance(manager, AsyncPubSubManager)


def _add_namespace(sio: Any, name: str, key: bytes) -> None:
    async def connect(_sid: str, _environ: Any, auth: Any = None) -> bool:
        shown = auth.get("key") if isinstance(auth, dict) else None
        return isinstance(shown, str) and hmac.compare_digest(shown.encode(errors="replace"), key)

    async def cross(_sid: str, token: Any = None) -> None:
        if isinstance(token, str):
            await sio.emit(CROSSED, [name, token], namespace=NAMESPACE)

    sio.on("connect", connect, namespace=NAMESPACE)
    sio.on(CROSS, cross, namespace=NAMESPACE)


def _servers(app: Any, prefix: str, depth: int) -> Iterator[tuple[Any, str]]:
    """The Socket.IO servers in an app, each with its path."""
    socketio: Any = sys.modules.get("socketio")
    if socketio is None or depth == 0:  # nobody has imported it
        return
    if isinstance(app, socketio.AsyncServer):
        yield app, f"{prefix}/socket.io"
        return
    web: Any = sys.modules.get("aiohttp.web")
    if web is not None and isinstance(app, web.Application):
        for resource in app.router.resources():
            for route in resource:
                sio = _behind(getattr(route.handler, "__self__", None))
                if sio is not None:
                    yield sio, (route.resource or resource).canonical
        return
    inner = getattr(app, "engineio_server", None)  # an ASGIApp has the Socket.IO server under this name
    if isinstance(inner, socketio.AsyncServer):
        # below a Mount of Starlette an app still sees the whole path
        yield inner, getattr(app, "engineio_path", None) or prefix or "/"
    yield from _mounted(app, prefix, depth)


def _behind(engine: Any) -> Any:
    """The Socket.IO server above an Engine.IO server, if it is one."""
    socketio: Any = sys.modules["socketio"]
    handlers = getattr(engine, "handlers", None)
    found = getattr(handlers.get("connect"), "__self__", None) if isinstance(handlers, dict) else None
    return found if isinstance(found, socketio.AsyncServer) else None


def _mounted(app: Any, prefix: str, depth: int) -> Iterator[tuple[Any, str]]:
    """What stands inside an ASGI app: behind it, or mounted at a path as Starlette and FastAPI do."""
    other = getattr(app, "other_asgi_app", None)
    if other is not None:
        yield from _servers(other, prefix, depth - 1)
    routes = getattr(app, "routes", None)
    for route in routes if isinstance(routes, list) else ():
        mounted, path = getattr(route, "app", None), getattr(route, "path", None)
        if isinstance(path, str) and "{" not in path:
            yield from _servers(mounted, prefix + path.rstrip("/"), depth - 1)
