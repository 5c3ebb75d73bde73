"""Exercise 02: from bytes to frames. Write `Decoder.feed`, then run `rtlab grade 02`."""

from dataclasses import dataclass

MAX_PAYLOAD = 1_048_576
"""Bytes of payload that one frame may have (1 MiB)."""


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
    r"""Turns the bytes that a server receives from one client into frames.

    The bytes come as TCP delivers them: cut anywhere, and glued together. A decoder does not wait and reads from no
    socket. It remembers what it needs between two calls of `feed`, which is less than one frame, and no two decoders
    share anything. It judges each frame alone. What frames mean together is not its business, and neither is what a
    payload means: a text that is no UTF-8, a fragment out of place, a frame behind a close are given like any other.

        >>> decoder = Decoder()
        >>> decoder.feed(b"\x82\x83\x01\x02\x03\x04\x60")   # the beginning of a frame
        []
        >>> decoder.feed(b"\x60\x60\x89")                   # its end, and one byte of the next frame
        [Frame(opcode=2, payload=b'abc', fin=True)]
    """

    def feed(self, data: bytes) -> list[Frame]:
        """Take the bytes that have just arrived; give the frames that they complete, in order.

        A frame is given by the call that brings its last byte, not by a later one. A call that completes no frame
        gives an empty list.

        Args:
            data: what one read of the socket gave. It may hold a part of a frame, several frames, thousands of small
                ones too, or nothing.

        Returns:
            A new list, which is the caller's: later calls do not change it.

        Raises:
            ProtocolError: with code 1002 if a frame is not masked, has a reserved bit or an opcode that does not
                exist, is a control frame in fragments or of more than 125 bytes, or has a length that is not
                written in the shortest form; with code 1009 if its payload would have more than `MAX_PAYLOAD` bytes.
                It is raised by the call that brings the length, or an earlier one, without waiting for key or
                payload. Where a frame breaks several rules, any of their codes will do. After that the decoder is
                of no more use, and frames that the same call had completed are dropped.
        """
        raise NotImplementedError
