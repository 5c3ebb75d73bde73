"""Fails: test_reads_headers_as_clients_write_them

`splitlines` also splits at \x85, which is half of an Å in UTF-8: the cookie breaks into two lines.
"""

import base64
import hashlib
from collections.abc import Sequence
from http import HTTPStatus

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")

Headers = dict[str, str]
"""Names in lower case; fields of the same name joined by commas."""


def respond(request: bytes, *, origins: set[str], subprotocols: Sequence[str] = ()) -> bytes:
    """A server's answer to an opening handshake (RFC 6455 §4.2): 101 Switching Protocols, or a refusal."""
    try:
        line, headers = parse(request)
        method, _target, version = line.split(" ")
    except ValueError:
        return encode(400)
    key = headers.get("sec-websocket-key", "")
    if version != "HTTP/1.1":
        return encode(400)
    if method != "GET":
        return encode(405, "Allow: GET")
    if not has(headers, "upgrade", "websocket"):
        return encode(426, *UPGRADE)
    if headers.get("sec-websocket-version") != VERSION:
        return encode(426, *UPGRADE, f"Sec-WebSocket-Version: {VERSION}")
    if not has(headers, "connection", "upgrade") or not is_key(key):
        return encode(400)
    if "origin" in headers and headers["origin"] not in origins:
        return encode(403)
    fields = [*UPGRADE, f"Sec-WebSocket-Accept: {accept(key)}"]
    for offered in words(headers.get("sec-websocket-protocol", "")):
        if offered in subprotocols:
            fields.append(f"Sec-WebSocket-Protocol: {offered}")
            break
    return encode(101, *fields)


def verify(key: str, response: bytes) -> None:
    """A client's check of a server's answer (RFC 6455 §4.1)."""
    line, headers = parse(response)
    if line.split(" ")[:2] != ["HTTP/1.1", "101"]:
        raise ValueError(f"expected the status 101, got {line!r}")
    for name, word in (("upgrade", "websocket"), ("connection", "upgrade")):
        if not has(headers, name, word):
            raise ValueError(f"expected {name}: {word}, got {headers.get(name)!r}")
    if headers.get("sec-websocket-accept") != accept(key):
        raise ValueError(f"expected the accept {accept(key)}, got {headers.get('sec-websocket-accept')!r}")


def accept(key: str) -> str:
    """What proves that the server has read this key."""
    digest = hashlib.sha1((key + GUID).encode()).digest()  # noqa: S324 - the RFC names SHA-1; no secret depends on it
    return base64.b64encode(digest).decode()


def is_key(key: str) -> bool:
    """Whether it is 16 bytes in Base64."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:  # binascii.Error is one, too
        return False


def parse(head: bytes) -> tuple[str, Headers]:
    """The first line and the header fields. ValueError if a line is no field."""
    line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").splitlines() or [""]
    headers: Headers = {}
    for each in lines:
        name, colon, value = each.partition(":")
        if not colon:
            raise ValueError(f"expected a header field, got {each!r}")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return line, headers


def words(value: str) -> list[str]:
    """The elements of a comma-separated field."""
    return [word.strip(" \t") for word in value.split(",")]


def has(headers: Headers, name: str, word: str) -> bool:
    """Whether a field that is a list holds this word."""
    return word in words(headers.get(name, "").lower())


def encode(status: int, *fields: str) -> bytes:
    """A response without a body. A refusal says so: without Content-Length the client would wait for a body."""
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    body = () if status == 101 else ("Content-Length: 0",)
    return "\r\n".join([line, *fields, *body, "", ""]).encode()
