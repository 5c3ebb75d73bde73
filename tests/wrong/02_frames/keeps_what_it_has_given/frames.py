"""Fails: test_forgets_what_it_has_given

All bytes are kept as well, for a log that nobody reads.
"""

from dataclasses import dataclass

MAX_PAYLOAD = 1_048_576
"""Bytes of payload that one frame may have (1 MiB)."""

FIN, RESERVED, MASK = 0b1000_0000, 0b0111_0000, 0b1000_0000
OPCODES = {0, 1, 2, 8, 9, 10}
CONTROL = 0b0000_1000
"""The bit of an opcode that all control frames have, and no others."""
EXTRA_BYTES = {126: 2, 127: 8}
"""How many bytes the real length takes, by what the second octet says."""


@dataclass(frozen=True)
class Frame:
    """One frame, as the client meant it."""

    opcode: int
    """0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong."""
    payload: bytes
    """Unmasked."""
    fin: bool = True
    """Whether it is the last frame of its message."""


class ProtocolError(Exception):
    """The client broke the rules. The server closes the connection with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"close code {code}")
        self.code = code


class Decoder:
    """Turns the bytes that a server receives from one client into frames, however they are cut.

    The strategy: keep what has not become a frame yet, and look at its front again whenever something arrives.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._everything = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take the bytes that have just arrived; give the frames that they complete, in order.

        Raises:
            ProtocolError: the client broke the rules.
        """
        self._pending += data
        self._everything += data
        frames = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        return frames

    def _take(self) -> Frame | None:
        """The frame at the front, if it is whole. Its header is judged as soon as it is there."""
        pending = self._pending
        if not pending:
            return None
        opcode = self._judge_first(pending[0])
        if len(pending) < 2:
            return None
        size, key_at = self._judge_second(opcode, pending[1]), 2
        if size in EXTRA_BYTES:
            key_at += EXTRA_BYTES[size]
            if len(pending) < key_at:
                return None
            size = self._judge_long_size(pending[2:key_at])
        end = key_at + 4 + size
        if len(pending) < end:
            return None
        masked = pending[key_at + 4 : end]
        payload = bytes(octet ^ pending[key_at + i % 4] for i, octet in enumerate(masked))
        frame = Frame(opcode, payload, pending[0] >= FIN)
        del pending[:end]
        return frame

    @staticmethod
    def _judge_first(octet: int) -> int:
        """The opcode. RFC 6455 §5.2 and §5.5."""
        opcode = octet & 0x0F
        fragmented_control = opcode & CONTROL and not octet & FIN
        if octet & RESERVED or opcode not in OPCODES or fragmented_control:
            raise ProtocolError(1002)
        return opcode

    @staticmethod
    def _judge_second(opcode: int, octet: int) -> int:
        """The length as the second octet has it. RFC 6455 §5.1 and §5.5."""
        size = octet & 0x7F
        if not octet & MASK or (opcode & CONTROL and size > 125):
            raise ProtocolError(1002)
        return size

    @staticmethod
    def _judge_long_size(octets: bytes | bytearray) -> int:
        """The length in its longer forms. RFC 6455 §5.2: it has to be the shortest form."""
        size = int.from_bytes(octets, "big")
        if size < (126 if len(octets) == 2 else 65536):
            raise ProtocolError(1002)
        if size > MAX_PAYLOAD:
            raise ProtocolError(1009)
        return size
