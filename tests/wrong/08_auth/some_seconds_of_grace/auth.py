"""Fails: test_refuses_tokens_out_of_time

A leeway for clocks that differ also lets in whoever comes late.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jwt
import socketio
from socketio.exceptions import ConnectionRefusedError as Refusal

SECRET_BYTES = 32
"""A secret has at least as many bytes: RFC 7518 §3.2 for HS256."""
LASTS_S = 900
"""Seconds that a token of `Guard.sign_in` lasts."""
ALGORITHM = "HS256"
"""The only one. What a token says about itself is compared with this."""

Handler = Callable[..., Any]

logger = logging.getLogger(__name__)


class Guard:
    """Lets in whoever shows a good token, and for as long as the token lasts."""

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()
        if len(self._key) < SECRET_BYTES:
            raise ValueError(f"expected a secret of at least {SECRET_BYTES} bytes, got {len(self._key)}")

    def sign_in(self, name: str) -> str:
        """A token for somebody who has proved the name."""
        claims = {"sub": name, "username": name, "exp": int(time.time()) + LASTS_S}
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def protect(self, sio: socketio.AsyncServer, namespaces: Iterable[str]) -> None:
        """Put a lock on some namespaces of a server."""
        for namespace in namespaces:
            Door(sio, namespace, self.claims)

    def claims(self, auth: Any) -> dict[str, Any]:
        """What the token in `auth` says.

        Raises:
            Refusal: there is none, or it is not good.
        """
        token = auth.get("token") if isinstance(auth, dict) else None
        if token is None or token == "":
            raise Refusal("Authentication required")
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM], leeway=30, options={"require": ["exp"]})
        except Exception as error:  # not PyJWT's alone: some texts cannot even be encoded
            raise Refusal("Invalid token") from error
        match claims:
            case {"sub": str(sub), "username": str(username), "exp": int() | float()} if sub and username:
                return claims
        raise Refusal("Invalid token")


class Door:
    """One namespace of one server, and how long those who are inside may stay."""

    def __init__(self, sio: socketio.AsyncServer, namespace: str, claims: Callable[[Any], dict[str, Any]]) -> None:
        self._sio = sio
        self._namespace = namespace
        self._claims = claims
        self._inner = {event: self._registered(event) for event in ("connect", "disconnect")}
        self._stays: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Future[None]] = set()
        sio.on("connect", self._connect, namespace=namespace)
        sio.on("disconnect", self._disconnect, namespace=namespace)

    def _registered(self, event: str) -> Handler | None:
        """What the application does on this event. A function comes before a class, as in the server."""
        if event in self._sio.handlers.get(self._namespace, {}):
            return self._sio.handlers[self._namespace][event]
        if self._namespace in self._sio.namespace_handlers:
            return partial(self._sio.namespace_handlers[self._namespace].trigger_event, event)
        return None

    async def _ask(self, event: str, *arguments: Any) -> Any:
        handler = self._inner[event]
        answer = handler(*arguments) if handler else None
        return await answer if inspect.isawaitable(answer) else answer

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> Any:
        if self._sio.manager.is_connected(sid, self._namespace):
            return None  # a forged event: who really comes is not connected yet
        claims = self._claims(auth)
        who = {"sub": claims["sub"], "username": claims["username"]}
        await self._sio.save_session(sid, who, namespace=self._namespace)
        try:
            answer = await self._ask("connect", sid, environ, auth)
        except (Refusal, ConnectionRefusedError):
            raise
        except Exception as error:
            logger.exception("refused, because connect of %s raised", self._namespace)
            raise Refusal("Try again later") from error
        if self._sio.get_environ(sid, self._namespace) is None:
            return False  # its connection has ended meanwhile, and the server would let nobody in
        if answer is not False:
            self._watch(sid, claims["exp"])
        return answer

    def _watch(self, sid: str, until: float) -> None:
        self._stays[sid] = asyncio.get_running_loop().call_later(max(0, until - time.time()), self._end, sid)

    def _end(self, sid: str) -> None:
        task = asyncio.ensure_future(self._sio.disconnect(sid, namespace=self._namespace))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _disconnect(self, sid: str, reason: str) -> None:
        if self._sio.manager.is_connected(sid, self._namespace):
            return  # a forged event: who really leaves is not connected any more
        if sid in self._stays:
            self._stays.pop(sid).cancel()
        await self._ask("disconnect", sid, reason)
