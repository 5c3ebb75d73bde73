"""The two serializers of a Socket.IO server, and how strictly each reads.

What lives here: for each serializer a class for python-socketio to encode with, and a reader that decodes what a
client sends through `rtlab.wire.socketio`. It must not know sessions.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgpack
from socketio.msgpack_packet import MsgPackPacket
from socketio.packet import Packet as TextPacket

from rtlab.errors import ProtocolError, UsageError
from rtlab.wire.socketio import Decoder, Packet, from_fields

__all__ = ["Reader", "packet_class", "reader"]

PARSER = "socket.io-msgpack-parser"
UNDEFINED = (0, b"\0")
"""JavaScript's undefined, as an extension of MessagePack (notepack.io)."""
SURROGATES = "surrogatepass"
"""How half a surrogate pair is read and written: JavaScript has such texts, and sends them. It is for an application to
refuse one, to whoever sent it; not for the parser, which can only end the connection."""


class Reader(Protocol):
    """Turns the messages of one client into packets."""

    @property
    def pending(self) -> int:
        """Attachments that are still missing."""

    @property
    def incomplete(self) -> Packet | None:
        """The packet that they belong to."""

    def add(self, frame: str | bytes) -> Packet | None:
        """Take a message; gives the packet that it completes. Raises ProtocolError."""


class NetPacket(MsgPackPacket):  # type: ignore[misc]
    """MessagePack as the JavaScript parser wants it: a packet without data has no key for it."""

    def encode(self) -> bytes:
        """The packet as one binary message."""
        fields = {name: value for name, value in self._to_dict().items() if name != "data" or value is not None}
        packed: bytes = msgpack.packb(fields, default=type(self).dumps_default, unicode_errors=SURROGATES)
        return packed


class MessagePackReader:
    """Reads packets of the MessagePack serializer. One message is one packet, attachments and all."""

    pending = 0
    incomplete = None

    def __init__(self, ext_hook: Any) -> None:
        self._ext_hook = ext_hook

    def add(self, frame: str | bytes) -> Packet:
        """Take a message; gives its packet.

        Raises:
            ProtocolError: it is no packet.
        """
        if isinstance(frame, str):
            raise ProtocolError("expected MessagePack, got text", rule=PARSER)
        try:
            # Keys that are no text would be refused below, but Python hashes numbers to themselves: whoever chooses
            # them well makes a dict of n take n² steps. Those of texts and bytes cannot be chosen.
            fields = msgpack.unpackb(frame, ext_hook=self._extension, strict_map_key=True, unicode_errors=SURROGATES)
        except Exception as error:  # noqa: BLE001 - msgpack has many, and an ext_hook of the application any
            raise ProtocolError(f"expected MessagePack: {type(error).__name__}", rule=PARSER) from None
        return from_fields(fields, undefined_read=True)

    def _extension(self, code: int, data: bytes) -> Any:
        return None if (code, data) == UNDEFINED else self._ext_hook(code, data)


def packet_class(serializer: Any) -> Any:
    """The class that a server encodes with.

    Args:
        serializer: "default", "msgpack", or a class of python-socketio's as `MsgPackPacket.configure` gives it.

    Raises:
        UsageError: it is none of these.
    """
    if serializer == "default":
        return TextPacket
    if serializer == "msgpack":
        return NetPacket
    if isinstance(serializer, type) and issubclass(serializer, MsgPackPacket):
        return (
            serializer if issubclass(serializer, NetPacket) else type(serializer.__name__, (NetPacket, serializer), {})
        )
    if isinstance(serializer, type) and issubclass(serializer, TextPacket):
        return serializer
    raise UsageError(
        f"Expected serializer='default', 'msgpack' or a packet class of python-socketio, got {serializer!r}."
    )


def reader(encoder: Any, max_attachments: int) -> Reader:
    """What reads the messages of one client of a server that encodes with this class."""
    if issubclass(encoder, MsgPackPacket):
        return MessagePackReader(encoder.ext_hook)
    return Decoder(max_attachments=max_attachments, lone_surrogates=True)
