"""permessage-deflate: compression of messages (RFC 7692).

What lives here: the negotiation of the extension's four parameters in both roles, and compressing and
decompressing single messages. It must not know frames, where RSV1 is set and read, nor how the header that negotiates
is written; `extensions` does. zlib is the only help.

zlib cannot compress with a window of 8 bits (it uses 9 and says so only to itself), so a server declines an offer
that asks it to, and takes the next one. It decompresses such a window without trouble.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from rtlab.errors import HandshakeError, ProtocolError
from rtlab.wire.extensions import Parameters
from rtlab.wire.frames import CloseCode

__all__ = ["NAME", "TAIL", "Deflate", "DeflateOptions", "accept_offer", "accept_response"]

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"
"""What ends a flushed block, and is not sent (§7.2.1)."""
SPARE = 16
"""Bytes that may follow a final block (§7.2.3.4): an empty block, and `TAIL`."""
LEVEL = 6
"""zlib's own balance of size against time."""
MEMORY_LEVEL = 5
"""zlib's memLevel: 8 would cost 128 KiB per connection more, for a percent or two of size."""
THRESHOLD = 32
"""Bytes below which a message is sent as it is: a deflated block is hardly ever smaller."""

_WINDOW_BITS = re.compile(r"[89]|1[0-5]")
"""§7.1.2.1: 8 to 15, in decimal, without leading zeros."""


@dataclass(frozen=True)
class DeflateOptions:
    """What one end asks for. The defaults ask for nothing and offer everything."""

    server_no_context_takeover: bool = False
    """The server forgets each message before the next (§7.1.1.1): less memory, less compression."""
    client_no_context_takeover: bool = False
    """The same for the client (§7.1.1.2)."""
    server_max_window_bits: int = 15
    """The server's window is at most 2**this bytes (§7.1.2.1). 9 to 15."""
    client_max_window_bits: int = 15
    """The client's window (§7.1.2.2). 9 to 15."""
    threshold: int = THRESHOLD
    """Bytes below which we send a message uncompressed."""
    level: int = LEVEL
    """zlib's level, 1 to 9."""

    def offer(self) -> str:
        """A client's Sec-WebSocket-Extensions (§7.1)."""
        return _format(self, always_client_bits=True)


def _format(options: DeflateOptions, *, always_client_bits: bool) -> str:
    flags = ("server_no_context_takeover", "client_no_context_takeover")
    words = [NAME, *(name for name in flags if getattr(options, name))]
    if options.server_max_window_bits < 15:
        words.append(f"server_max_window_bits={options.server_max_window_bits}")
    if options.client_max_window_bits < 15:
        words.append(f"client_max_window_bits={options.client_max_window_bits}")
    elif always_client_bits:
        words.append("client_max_window_bits")
    return "; ".join(words)


def accept_offer(offers: Iterable[tuple[str, Parameters]], options: DeflateOptions) -> tuple[Deflate, str] | None:
    """A server's choice: the first offer that it can serve (§5.1), and what it answers. None declines them all."""
    for name, parameters in offers:
        if name != NAME:
            continue
        try:
            asked = _read(parameters, valueless="client_max_window_bits")
        except ValueError:
            continue  # §7.1: an offer with an invalid parameter is declined
        server_bits = min(asked.get("server_max_window_bits", 15), options.server_max_window_bits)
        if server_bits < 9:
            continue
        client_bits = 15
        if "client_max_window_bits" in asked:  # else the server must not ask for it (§7.1.2.2)
            client_bits = min(asked["client_max_window_bits"], options.client_max_window_bits)
        agreed = DeflateOptions(
            options.server_no_context_takeover or "server_no_context_takeover" in asked,
            options.client_no_context_takeover or "client_no_context_takeover" in asked,
            server_bits,
            client_bits,
            options.threshold,
            options.level,
        )
        return Deflate(agreed, client=False), _format(agreed, always_client_bits=False)
    return None


def accept_response(answered: Iterable[tuple[str, Parameters]], options: DeflateOptions | None) -> Deflate | None:
    """A client's check of what the server chose from `options.offer()`. None: the server wants no compression.

    Raises:
        HandshakeError: the server chose what was not offered (§5.1, §7.1; RFC 6455 §9.1).
    """
    chosen = list(answered)
    if not chosen:
        return None
    if options is None or len(chosen) > 1 or chosen[0][0] != NAME:
        names = ", ".join(name for name, _ in chosen)
        raise HandshakeError(f"the server chose extensions that were not offered: {names}", rule="RFC 6455 §9.1")
    try:
        got = _read(chosen[0][1], valueless="")
    except ValueError as problem:
        raise HandshakeError(f"the server's {NAME} has {problem}", rule="RFC 7692 §7.1") from None
    if options.server_no_context_takeover and "server_no_context_takeover" not in got:
        raise HandshakeError("the server did not agree to server_no_context_takeover", rule="RFC 7692 §7.1.1.1")
    server_bits = got.get("server_max_window_bits", 15)
    if server_bits > options.server_max_window_bits:
        raise HandshakeError(
            f"expected a server window of at most {options.server_max_window_bits} bits, got {server_bits}",
            rule="RFC 7692 §7.1.2.1",
        )
    client_bits = min(got.get("client_max_window_bits", 15), options.client_max_window_bits)
    if client_bits < 9:
        raise HandshakeError(
            "the server asks for a client window of 8 bits, which zlib lacks", rule="RFC 7692 §7.1.2.2"
        )
    agreed = DeflateOptions(
        "server_no_context_takeover" in got,
        options.client_no_context_takeover or "client_no_context_takeover" in got,
        server_bits,
        client_bits,
        options.threshold,
        options.level,
    )
    return Deflate(agreed, client=True)


class Deflate:
    """The agreed extension of one connection: compresses what we send, decompresses what comes."""

    def __init__(self, options: DeflateOptions, *, client: bool) -> None:
        self.options = options
        ours = (options.client_no_context_takeover, options.client_max_window_bits)
        theirs = (options.server_no_context_takeover, options.server_max_window_bits)
        if not client:
            ours, theirs = theirs, ours
        self._forget_ours, self._bits = ours
        self._forget_theirs, _ = theirs
        # Both are made when the first message needs them: many connections never send a long one.
        self._compressor: zlib._Compress | None = None
        self._decompressor: zlib._Decompress | None = None

    def worthwhile(self, size: int) -> bool:
        """Whether a message of this many bytes is to be compressed."""
        return size >= self.options.threshold

    def compress(self, message: bytes) -> bytes:
        """The payload of a compressed message (§7.2.1)."""
        if self._compressor is None:
            self._compressor = zlib.compressobj(self.options.level, zlib.DEFLATED, -self._bits, MEMORY_LEVEL)
        block = self._compressor.compress(message) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        if self._forget_ours:
            self._compressor = None
        return block.removesuffix(TAIL) or b"\x00"  # §7.2.3.6: an empty message is one octet

    def decompress(self, payload: bytes, max_size: int, *, fin: bool) -> bytes:
        """What a frame's payload stands for (§7.2.2). Frames of one message come in order.

        Args:
            payload: of one frame.
            max_size: bytes that may come out; a compression bomb stops there.
            fin: whether the message ends here.

        Raises:
            ProtocolError: 1007 if it is no deflate stream, 1009 if more would come out.
        """
        if self._decompressor is None:
            self._decompressor = zlib.decompressobj(-15)  # reads every smaller window too
        try:
            out = self._decompressor.decompress(payload + TAIL if fin else payload, max_size + 1)
        except zlib.error as error:
            raise ProtocolError(
                f"a compressed message that is no deflate stream: {error}"[:123],
                rule="RFC 7692 §7.2.2",
                code=CloseCode.INVALID_DATA,
            ) from None
        if len(out) > max_size:
            raise ProtocolError(
                f"a compressed message of more than {max_size} bytes", rule="RFC 7692 §8", code=CloseCode.TOO_BIG
            )
        if len(self._decompressor.unused_data) > SPARE:  # zlib keeps it all, and nothing ever comes of it
            raise ProtocolError(
                "a compressed message that goes on after its final block",
                rule="RFC 7692 §7.2.3.4",
                code=CloseCode.INVALID_DATA,
            )
        if fin and (self._forget_theirs or self._decompressor.eof):
            self._decompressor = None  # eof: the peer ended its stream with a final block (§7.2.3.4)
        return out


def _read(parameters: Parameters, *, valueless: str) -> dict[str, int]:
    """The numbers in an offer or an answer.

    Raises:
        ValueError: a parameter that is unknown, repeated, or has a value that it must not have.
    """
    read: dict[str, int] = {}
    for name, value in parameters:
        if name in read:
            raise ValueError(f"{name} twice")
        if name in {"server_no_context_takeover", "client_no_context_takeover"}:
            if value is not None:
                raise ValueError(f"{name} with the value {value!r}")
            read[name] = 1
        elif name in {"server_max_window_bits", "client_max_window_bits"}:
            if value is None and name == valueless:
                read[name] = 15
            elif value is None or not _WINDOW_BITS.fullmatch(value):
                raise ValueError(f"{name} with the value {value!r}")
            else:
                read[name] = int(value)
        else:
            raise ValueError(f"the unknown parameter {name!r}")
    return read
