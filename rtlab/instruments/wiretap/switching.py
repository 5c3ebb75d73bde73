"""What a handshake agrees on: the step from HTTP to frames, as an onlooker sees it.

What lives here: whether an HTTP message belongs to a WebSocket handshake, what is wrong with an answer, and the
readers for what follows. It takes no side: the client's frames have to be masked, the server's must not be. No I/O.
"""

from __future__ import annotations

from rtlab.errors import HandshakeError
from rtlab.instruments.direction import Direction
from rtlab.instruments.wiretap.frame_reader import FrameReader
from rtlab.wire.deflate import NAME as DEFLATE
from rtlab.wire.deflate import Deflate, DeflateOptions
from rtlab.wire.extensions import parse_extensions
from rtlab.wire.handshake import Request, Response, check_response

__all__ = ["frame_readers", "is_websocket", "refute"]


def is_websocket(head: Request | Response) -> bool:
    """Whether this asks for a WebSocket, or grants it."""
    return "websocket" in head.headers.tokens("Upgrade")


def refute(request: Request | None, response: Response) -> str:
    """What is wrong with a 101, and which rule says so. Empty if nothing is, or if it is no 101."""
    if response.status != 101 or request is None:
        return ""
    headers = request.headers
    subprotocols = [each.strip() for each in (headers.get("Sec-WebSocket-Protocol") or "").split(",")]
    deflate = DeflateOptions() if DEFLATE in (headers.get("Sec-WebSocket-Extensions") or "") else None
    try:
        check_response(response, headers.get("Sec-WebSocket-Key") or "", subprotocols=subprotocols, deflate=deflate)
    except HandshakeError as error:
        return str(error)
    return ""


def frame_readers(response: Response) -> dict[Direction, FrameReader]:
    """Who reads the frames of each direction, after this 101."""
    options = _agreed(response)
    return {
        Direction.TO_SERVER: FrameReader(
            masked=True,
            inflate=None if options is None else lambda: Deflate(options, client=False),
            forgets=options is not None and options.client_no_context_takeover,
        ),
        Direction.TO_CLIENT: FrameReader(
            masked=False,
            inflate=None if options is None else lambda: Deflate(options, client=True),
            forgets=options is not None and options.server_no_context_takeover,
        ),
    }


def _agreed(response: Response) -> DeflateOptions | None:
    """The compression that was chosen, if it is the one that we know (RFC 7692). Only what inflating needs is read."""
    try:
        chosen = parse_extensions(response.headers.get("Sec-WebSocket-Extensions") or "")
    except HandshakeError:
        return None
    for name, parameters in chosen:
        if name == DEFLATE:
            chosen_names = dict(parameters)
            return DeflateOptions(
                server_no_context_takeover="server_no_context_takeover" in chosen_names,
                client_no_context_takeover="client_no_context_takeover" in chosen_names,
            )
    return None
