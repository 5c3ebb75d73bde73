"""Sign-in by name, for one person's machine: whoever asks for a name gets its token.

What lives here: the one request that `dev=True` adds. It answers pages of this site only, under a name of this machine:
a foreign page could otherwise have its own name point here and take a token (DNS rebinding). Whatever comes, it answers
with a status of its own and reads no more than a name needs.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from ipaddress import ip_address

from aiohttp import web

from rtlab.chat import payloads
from rtlab.chat.auth import issue_token
from rtlab.chat.limits import NAME_LENGTH
from rtlab.chat.payloads import BadPayload
from rtlab.errors import PeerError

__all__ = ["add_sign_in"]

MAX_BODY = 1024
"""Bytes. A name has 32 characters."""
BODY_S = 5.0
"""Seconds that a body of that size has to arrive."""
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+)|([0-9A-Fa-f:]+))(?::[0-9]{1,5})?")
"""A Host (RFC 9112 §3.2): an address or a name, and a port."""


class SignInRefused(PeerError):  # noqa: N818 - a client's, not an error of ours
    """A request is not as it has to be. Never leaves this module."""

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        """What it is answered with."""
        super().__init__(problem)


def add_sign_in(app: web.Application, secret: str, *, body_s: float = BODY_S) -> None:
    """Add ``POST /sign-in``: {"username": …} is answered with {"token": …}.

    Whatever else comes gets {"message": …}: 400 where it is no name, 403 under another name than this machine's, 408
    where the body takes too long, 413 where it is too long, 415 where it is no JSON in UTF-8.

    Args:
        app: where.
        secret: signs the tokens.
        body_s: seconds that the body has to arrive.
    """

    async def sign_in(request: web.Request) -> web.Response:
        try:
            _check_head(request)
            name = _name_in(await _body_of(request, body_s))
        except SignInRefused as refused:
            return _refused(refused.status, str(refused))
        return web.json_response({"token": issue_token(name, secret)}, headers={"Cache-Control": "no-store"})

    app.router.add_post("/sign-in", sign_in)


def _check_head(request: web.Request) -> None:
    """What can be said before the body is read.

    Raises:
        SignInRefused: something of it is wrong.
    """
    host = HOST.fullmatch(request.host)  # not request.url: it raises ValueError over a port that is no number
    if host is None:
        raise SignInRefused(400, "Expected a Host with a name or an address.")
    if not _is_local(host[1] or host[2] or host[3]):
        raise SignInRefused(403, "Sign-in by name answers on this machine only, under localhost or 127.0.0.1.")
    if request.content_type != "application/json":  # what another site's form can send is none
        raise SignInRefused(415, "Expected JSON.")
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:  # RFC 8259 §8.1
        raise SignInRefused(415, "Expected JSON in UTF-8.")
    if "Content-Encoding" in request.headers:
        raise SignInRefused(415, "Expected a body without a content encoding.")
    if (request.content_length or 0) > MAX_BODY:
        raise _too_long()


async def _body_of(request: web.Request, within_s: float) -> bytes:
    """The body, of which no more is read than one byte too many.

    Raises:
        SignInRefused: it is too long, comes too slowly, or is broken.
    """
    body = b""
    try:
        async with asyncio.timeout(within_s):
            while len(body) <= MAX_BODY and (more := await request.content.read(MAX_BODY + 1 - len(body))):
                body += more
    except TimeoutError:
        raise SignInRefused(408, f"Expected the whole body within {within_s:g} s.") from None
    except web.RequestPayloadError:
        raise SignInRefused(400, "Expected a body that keeps to HTTP.") from None
    if len(body) > MAX_BODY:
        raise _too_long()
    return body


def _name_in(body: bytes) -> str:
    """The name that a body asks for.

    Raises:
        SignInRefused: it does not, or that is no name.
    """
    try:
        said = json.loads(body.decode(), parse_constant=_no_number)
        return payloads.name_of("username", said.get("username") if isinstance(said, dict) else None, NAME_LENGTH)
    except BadPayload as error:
        raise SignInRefused(400, str(error)) from None
    except (ValueError, RecursionError):
        raise SignInRefused(400, "Expected JSON.") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON (RFC 8259 §6)")


def _is_local(host: str) -> bool:
    """Whether a request was meant for this machine. On JupyterHub and Binder the hub has let its sender in."""
    if host == "localhost" or os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _too_long() -> SignInRefused:
    return SignInRefused(413, f"Expected at most {MAX_BODY} bytes.")


def _refused(status: int, problem: str) -> web.Response:
    response = web.json_response({"message": problem}, status=status, headers={"Cache-Control": "no-store"})
    if status in {408, 413}:
        response.force_close()  # the rest of the body is not read
    return response
