"""Fails: test_lets_the_honest_in

A function that is made in a loop sees the loop's variables as they are when it is called: those of the last namespace.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import jwt
import socketio
from socketio.exceptions import ConnectionRefusedError as Refusal

SECRET_BYTES = 32
"""A secret has at least as many bytes: RFC 7518 §3.2 for HS256."""
LASTS_S = 900
"""Seconds that a token of `Guard.sign_in` lasts."""


class Guard:
    """Lets in whoever shows a good token, and for as long as the token lasts."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        if len(secret.encode()) < SECRET_BYTES:
            raise ValueError("expected a longer secret")

    def sign_in(self, name: str) -> str:
        """A token for somebody who has proved the name."""
        return jwt.encode({"sub": name, "username": name, "exp": int(time.time()) + LASTS_S}, self._secret)

    def protect(self, sio: socketio.AsyncServer, namespaces: Iterable[str]) -> None:
        """Put a lock on some namespaces of a server."""
        for namespace in namespaces:
            inner = sio.handlers.get(namespace, {}).get("connect")
            if namespace in sio.namespace_handlers:
                inner = sio.namespace_handlers[namespace].on_connect

            async def connect(sid: str, environ: dict[str, Any], auth: Any) -> Any:
                claims = self._claims(auth)
                who = {"sub": claims["sub"], "username": claims["username"]}
                await sio.save_session(sid, who, namespace=namespace)
                answer = inner(sid, environ, auth) if inner else None
                return await answer if asyncio.iscoroutine(answer) else answer

            sio.on("connect", connect, namespace=namespace)

    def _claims(self, auth: Any) -> dict[str, Any]:
        token = auth.get("token") if isinstance(auth, dict) else None
        if not token:
            raise Refusal("Authentication required")
        try:
            return jwt.decode(
                token, self._secret, algorithms=["HS256"], options={"require": ["exp", "sub", "username"]}
            )
        except Exception as error:
            raise Refusal("Invalid token") from error
