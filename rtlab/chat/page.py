"""The chat's page over HTTP: the files of ``web/``, Socket.IO's own client, and what a browser may do with them.

What lives here: `add_page`. It must not know what the page does. Files are read once, when the app is made, and served
by name from that collection: a path from a request never touches the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ETag, web

from rtlab.errors import MissingProgramError, UsageError
from rtlab.servers.course import javascript_packages

__all__ = ["CLIENT_FILE", "CLIENT_INTEGRITY", "CLIENT_URL", "add_page", "client_file"]

FOLDER = Path(__file__).parent / "web"
CLIENT_FILE = "socket.io.min.js"
"""The official JavaScript client, as a script that needs no build step."""
CLIENT_URL = f"https://cdn.socket.io/4.8.4/{CLIENT_FILE}"
"""Where the client's makers publish it, for an rtlab that was installed without the JavaScript side."""
CLIENT_INTEGRITY = "sha384-fBrXvbDtHoeKWJ/hcA6M+YGueiDW+h45I7V6F2kD1S8bOkrF9rZYPLVkCR6BLR/1"
"""What that file has to be. A browser runs no other (Subresource Integrity §3.3)."""
CLIENT_TAG = f'<script id="client" src="web/{CLIENT_FILE}" defer></script>'
"""How ``index.html`` asks for the client."""
CLIENT_TAG_CDN = f'<script id="client" src="{CLIENT_URL}" integrity="{CLIENT_INTEGRITY}" crossorigin defer></script>'
"""The same from outside."""
SIGN_IN_META = '<meta name="sign-in" content="token">'
"""How ``index.html`` says by what people sign in."""
SIGN_IN_META_DEV = '<meta name="sign-in" content="name">'
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class File:
    """What a request is answered with."""

    body: bytes
    content_type: str
    tag: str
    """Its entity tag (RFC 9110 §8.8.3): another one means other bytes."""


def add_page(app: web.Application, *, dev: bool, frame_ancestors: Sequence[str]) -> None:
    """Add ``GET /``, the page, and ``GET /web/{file}``, what it consists of.

    Args:
        app: where.
        dev: whether the page asks for a name instead of a token.
        frame_ancestors: sites that may show the page in a frame, as Content-Security-Policy spells them.

    Raises:
        UsageError: one of these sites is spelled in a way that would end the policy's directive.
    """
    files = {path.name: _file(path.read_bytes(), path.suffix) for path in FOLDER.iterdir() if path.suffix in TYPES}
    client = client_file()
    if client is not None:
        files[CLIENT_FILE] = _file(client.read_bytes(), client.suffix)
    index = _index(files.pop("index.html").body.decode(), dev=dev, from_cdn=client is None)
    headers = {
        "Content-Security-Policy": _policy(frame_ancestors, from_cdn=client is None),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",  # kept, but asked about each time: a new version is seen at once
    }

    async def page(request: web.Request) -> web.Response:
        return _answer(request, index, headers)

    async def part(request: web.Request) -> web.Response:
        file = files.get(request.match_info["file"])
        if file is None:
            raise web.HTTPNotFound(headers=headers)
        return _answer(request, file, headers)

    app.router.add_get("/", page)
    app.router.add_get("/web/{file}", part)


def client_file(start: Path | None = None) -> Path | None:
    """The JavaScript client that ``make install`` has brought; None without it.

    Args:
        start: where the search begins; the working directory if not given.
    """
    try:
        found = javascript_packages(start)[0]
    except MissingProgramError:
        return None
    path = found.path / "dist" / CLIENT_FILE
    # the working directory may be somebody's own project: another major version speaks another protocol
    return path if found.version.startswith("4.") and path.is_file() else None


def _index(text: str, *, dev: bool, from_cdn: bool) -> File:
    if dev:
        text = text.replace(SIGN_IN_META, SIGN_IN_META_DEV)
    if from_cdn:
        text = text.replace(CLIENT_TAG, CLIENT_TAG_CDN)
    return _file(text.encode(), ".html")


def _file(body: bytes, suffix: str) -> File:
    return File(body, TYPES[suffix], hashlib.sha256(body).hexdigest()[:32])


def _answer(request: web.Request, file: File, headers: dict[str, str]) -> web.Response:
    known = request.if_none_match or ()
    if any(tag.value in {file.tag, "*"} for tag in known):  # compared weakly (RFC 9110 §13.1.2)
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)
    response.etag = ETag(file.tag)
    return response


def _policy(frame_ancestors: Sequence[str], *, from_cdn: bool) -> str:
    """What the page may do (Content Security Policy, Level 3): run and load what is served here, and talk to here."""
    if isinstance(frame_ancestors, str):
        raise UsageError(f"frame_ancestors: expected a list of sites, got the string {frame_ancestors!r}.")
    for each in frame_ancestors:
        if not each or not each.isascii() or not each.isprintable() or set(each) & set("; ,"):
            raise UsageError(f"frame_ancestors: expected sites such as https://school.example, got {each!r}.")
    directives = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *([CLIENT_URL] if from_cdn else [])],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'"],  # of ws: and wss: too (CSP Level 3 §6.7.2.8)
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": list(frame_ancestors) or ["'none'"],
        "require-trusted-types-for": ["'script'"],  # no string becomes markup, not even by a mistake of ours
        "trusted-types": ["'none'"],
    }
    return "; ".join(" ".join([name, *sources]) for name, sources in directives.items())
