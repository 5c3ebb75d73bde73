"""The opening handshake: from an HTTP request to 101 Switching Protocols (RFC 6455 §4, RFC 9112).

What lives here: what each side says and checks, and every reason to refuse. How the messages are written is in
`http`. It must not know frames, sockets or random numbers; the client's key arrives as an argument.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from rtlab.errors import HandshakeError
from rtlab.wire.deflate import Deflate, DeflateOptions, accept_offer, accept_response
from rtlab.wire.extensions import parse_extensions
from rtlab.wire.http import (
    HEADER_BYTES,
    HEADER_LINES,
    HeadBuffer,
    Headers,
    Request,
    Response,
    parse_request,
    parse_response,
    shown,
)

__all__ = [
    "HEADER_BYTES",
    "HEADER_LINES",
    "HeadBuffer",
    "Headers",
    "Request",
    "Response",
    "Upgrade",
    "accept_key",
    "accept_upgrade",
    "check_response",
    "parse_request",
    "parse_response",
    "upgrade_request",
]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server appends to the key, to show that it speaks this protocol (§1.3)."""
VERSION = "13"
"""The version of the protocol (§4.1)."""
KEY_BYTES, KEY_CHARACTERS = 16, 24
"""What a key stands for, and its Base64 (§4.1, item 7)."""
MAX_PORT = 65535

_AUTHORITY = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+)(?::(?P<port>[0-9]{0,5}))?"
)
"""A host and a port (RFC 3986 §3.2.2, §3.2.3), without the comma: legal in a name, and what joins two fields."""
_NOTHING = re.compile(r"0{1,20}")
"""The Content-Length of no body (RFC 9110 §8.6): digits, and all of them zeros."""


@dataclass(frozen=True)
class Upgrade:
    """What a successful handshake has agreed on."""

    response: Response
    subprotocol: str | None = None
    deflate: Deflate | None = field(default=None, compare=False)


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (§4.2.2, item 5.4)."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()


def accept_upgrade(
    request: Request,
    *,
    origins: Collection[str] | None = None,
    subprotocols: Sequence[str] = (),
    deflate: DeflateOptions | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Upgrade:
    """A server's answer to a request (§4.2).

    Args:
        request: what came.
        origins: the Origins that may connect. A request without one, which no browser sends, passes; so does every
            one if this is None.
        subprotocols: those that the server speaks. It may pick any that the client offers (§4.2.2); ours takes the
            first one in the client's order of preference (§4.1, item 10).
        deflate: what the server wants of compression; None declines it.
        headers: fields to add to the response.

    Raises:
        HandshakeError: the request cannot be upgraded; its `status` and `headers` are the answer.
    """
    if request.method != "GET":
        raise HandshakeError(
            f"expected the method GET, got {request.method[:60]}",
            rule="RFC 6455 §4.1",
            status=405,
            headers=[("Allow", "GET")],
        )
    if request.version != "1.1":
        raise HandshakeError("expected HTTP/1.1, got HTTP/1.0", rule="RFC 6455 §4.1")
    _check_target(request)
    _check_no_body(request.headers)
    if "websocket" not in request.headers.tokens("Upgrade"):
        raise HandshakeError(
            "expected Upgrade: websocket",
            rule="RFC 6455 §4.2.1",
            status=426,
            headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")],
        )
    if "upgrade" not in request.headers.tokens("Connection"):
        raise HandshakeError("expected Connection: Upgrade", rule="RFC 6455 §4.2.1")
    versions = request.headers.all("Sec-WebSocket-Version")
    if len(versions) > 1:
        raise HandshakeError(f"expected one Sec-WebSocket-Version, got {len(versions)}", rule="RFC 6455 §11.3.5")
    if versions != [VERSION]:
        got = versions[0][:60] if versions else "none"
        raise HandshakeError(
            f"expected Sec-WebSocket-Version: {VERSION}, got {got}",
            rule="RFC 6455 §4.4",
            status=426,
            headers=[("Sec-WebSocket-Version", VERSION), ("Upgrade", "websocket"), ("Connection", "Upgrade")],
        )
    key = _key(request)
    if len(request.headers.all("Origin")) > 1:
        raise HandshakeError("expected one Origin at most", rule="RFC 6454 §7.3")
    origin = request.headers.get("Origin")
    if origins is not None and origin is not None and origin not in origins:
        raise HandshakeError(f"the Origin {shown(origin)} may not connect", rule="RFC 6455 §4.2.2", status=403)
    answer = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
    wanted = [each.strip() for each in (request.headers.get("Sec-WebSocket-Protocol") or "").split(",") if each.strip()]
    subprotocol = next((each for each in wanted if each in subprotocols), None)
    if subprotocol is not None:
        answer.append(("Sec-WebSocket-Protocol", subprotocol))
    agreed: tuple[Deflate, str] | None = None
    offered = parse_extensions(request.headers.get("Sec-WebSocket-Extensions") or "")
    if deflate is not None:
        agreed = accept_offer(offered, deflate)
    if agreed is not None:
        answer.append(("Sec-WebSocket-Extensions", agreed[1]))
    return Upgrade(Response(101, Headers([*answer, *headers])), subprotocol, agreed[0] if agreed else None)


def upgrade_request(
    host: str,
    target: str,
    key: str,
    *,
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    deflate: DeflateOptions | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Request:
    """A client's request (§4.1).

    Args:
        host: the Host field, with the port unless it is the scheme's own.
        target: path and query.
        key: Base64 of 16 random bytes.
        origin: as a browser would send it.
        subprotocols: in the order of preference.
        deflate: what to offer of compression; None offers none.
        headers: fields to add.
    """
    fields = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", VERSION),
    ]
    if origin is not None:
        fields.append(("Origin", origin))
    if subprotocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if deflate is not None:
        fields.append(("Sec-WebSocket-Extensions", deflate.offer()))
    return Request(target, Headers([*fields, *headers]))


def check_response(
    response: Response, key: str, *, subprotocols: Sequence[str] = (), deflate: DeflateOptions | None = None
) -> Upgrade:
    """A client's check of the server's answer (§4.1, the numbered list at the end).

    Args:
        response: what came.
        key: the one that was sent.
        subprotocols: those that were offered.
        deflate: what was offered of compression.

    Raises:
        HandshakeError: the server refused, or did not answer as it has to.
    """
    if response.status != 101:
        raise HandshakeError(
            f"expected the status 101, got {response.status} {response.reason}".rstrip(),
            rule="RFC 6455 §4.1",
            status=response.status,
            headers=response.headers,
        )
    for name, token in (("Upgrade", "websocket"), ("Connection", "upgrade")):
        if token not in response.headers.tokens(name):
            raise HandshakeError(f"expected {name}: {token} in the response", rule="RFC 6455 §4.1", status=101)
    accept = response.headers.get("Sec-WebSocket-Accept")
    if accept != accept_key(key):
        raise HandshakeError(
            f"expected Sec-WebSocket-Accept: {accept_key(key)}, got {accept and accept[:60]}",
            rule="RFC 6455 §4.1",
            status=101,
        )
    chosen = response.headers.get("Sec-WebSocket-Protocol")
    if chosen is not None and chosen not in subprotocols:
        raise HandshakeError(
            f"the server chose the subprotocol {shown(chosen)}, which was not offered",
            rule="RFC 6455 §4.1",
            status=101,
        )
    answered = parse_extensions(response.headers.get("Sec-WebSocket-Extensions") or "")
    return Upgrade(response, chosen, accept_response(answered, deflate))


def _check_target(request: Request) -> None:
    """Where the request is meant to go: one host, in both places where it may stand (RFC 9112 §3.2)."""
    hosts = request.headers.all("Host")
    if len(hosts) != 1:
        raise HandshakeError(f"expected one Host field, got {len(hosts)}", rule="RFC 9112 §3.2")
    if not _names_a_host(hosts[0]):
        raise HandshakeError(f"expected a Host like example.com:8000, got {shown(hosts[0])}", rule="RFC 9112 §3.2")
    authority = request.authority
    well_formed = request.target.startswith("/") if authority is None else _names_a_host(authority)
    if not well_formed or "#" in request.target:
        raise HandshakeError(
            f"expected a path, or a whole http URL, as the target, got {shown(request.target)}", rule="RFC 9112 §3.2"
        )


def _names_a_host(authority: str) -> bool:
    """Whether it is a host with or without a port: no user, no blank, no list, no path (RFC 3986 §3.2.2)."""
    match = _AUTHORITY.fullmatch(authority)
    return match is not None and int(match["port"] or 0) <= MAX_PORT


def _check_no_body(headers: Headers) -> None:
    """An upgrade has no body: its bytes would be taken for frames (RFC 9112 §6.3)."""
    if headers.all("Transfer-Encoding"):
        raise HandshakeError("expected no body in an upgrade, got a Transfer-Encoding", rule="RFC 9112 §6.3")
    lengths = headers.all("Content-Length")
    if len(lengths) > 1:
        raise HandshakeError(f"expected one Content-Length at most, got {len(lengths)}", rule="RFC 9112 §6.3")
    if lengths and not _NOTHING.fullmatch(lengths[0]):
        raise HandshakeError(
            f"expected no body in an upgrade, got Content-Length: {shown(lengths[0])}", rule="RFC 9112 §6.3"
        )


def _key(request: Request) -> str:
    keys = request.headers.all("Sec-WebSocket-Key")
    if len(keys) != 1:
        raise HandshakeError(f"expected one Sec-WebSocket-Key, got {len(keys)}", rule="RFC 6455 §4.2.1")
    try:
        nonce = base64.b64decode(keys[0], validate=True) if len(keys[0]) == KEY_CHARACTERS else b""
    except ValueError:
        nonce = b""
    if len(nonce) != KEY_BYTES:
        raise HandshakeError(
            f"expected a Sec-WebSocket-Key of 16 bytes in Base64, got {shown(keys[0])}", rule="RFC 6455 §4.2.1"
        )
    return keys[0]
