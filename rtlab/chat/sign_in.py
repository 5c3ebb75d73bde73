"""Sign-in by name, for one person's machine: whoever asks for a name gets its token.

What lives here: the one request that `dev=True` adds. It answers pages of this site only, under a name of this machine:
a foreign page could otherwise have its own name point here and take a token (DNS rebinding).
"""

from __future__ import annotations

import os
from ipaddress import ip_address

from aiohttp import web

from rtlab.chat import payloads
from rtlab.chat.auth import issue_token
from rtlab.chat.limits import NAME_LENGTH
from rtlab.chat.payloads import BadPayload

__all__ = ["add_sign_in"]

MAX_BODY = 1024
"""Bytes. A name has 32 characters."""


def add_sign_in(app: web.Application, secret: str) -> None:
    """Add ``POST /sign-in``: {"username": …} is answered with {"token": …}."""

    async def sign_in(request: web.Request) -> web.Response:
        if not _is_local(request.url.host or ""):
            return _refused(403, "Sign-in by name answers on this machine only, under localhost or 127.0.0.1.")
        if request.content_type != "application/json":  # what another site's form can send is none
            return _refused(415, "Expected JSON.")
        if (request.content_length or 0) > MAX_BODY:
            return _refused(413, f"Expected at most {MAX_BODY} bytes.")
        try:
            body = await request.json()
            username = body.get("username") if isinstance(body, dict) else None
            name = payloads.name_of("username", username, NAME_LENGTH)
        except BadPayload as error:
            return _refused(400, str(error))
        except (ValueError, RecursionError):
            return _refused(400, "Expected JSON.")
        return web.json_response({"token": issue_token(name, secret)}, headers={"Cache-Control": "no-store"})

    app.router.add_post("/sign-in", sign_in)


def _is_local(host: str) -> bool:
    """Whether a request was meant for this machine. On JupyterHub and Binder the hub has let its sender in."""
    if host == "localhost" or os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(status: int, problem: str) -> web.Response:
    return web.json_response({"message": problem}, status=status, headers={"Cache-Control": "no-store"})
