"""Fails: test_asks_for_a_token

Everybody is let in, and whoever then sends a `login` is known by name.
"""

import time
from collections.abc import Iterable
from typing import Any

import jwt
import socketio

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
            sio.on("login", self._login(sio, namespace), namespace=namespace)

    def _login(self, sio: socketio.AsyncServer, namespace: str) -> Any:
        async def login(sid: str, token: Any) -> Any:
            try:
                claims = jwt.decode(token, self._secret, algorithms=["HS256"], options={"require": ["exp"]})
            except jwt.InvalidTokenError:
                await sio.disconnect(sid, namespace=namespace)
                return {"status": "error", "message": "Invalid token"}
            await sio.save_session(sid, {"sub": claims["sub"], "username": claims["username"]}, namespace=namespace)
            return {"status": "ok"}

        return login
