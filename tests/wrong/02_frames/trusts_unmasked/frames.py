"""Fails: test_unmasked

A frame without the mask bit is read as if it were masked.
"""

from dataclasses import dataclass

MAX_PAYLOAD = 1_048_576


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True


class ProtocolError(Exception):
    def __init__(self, code):
        super().__init__(f"close code {code}")
        self.code = code


class Decoder:
    def __init__(self):
        self.rest = b""

    def feed(self, data):
        self.rest += data
        frames = []
        while True:
            frame = self.take()
            if frame is None:
                return frames
            frames.append(frame)

    def take(self):
        data = self.rest
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        opcode, length, start = first & 15, second & 127, 2
        if first & 0x70 or opcode not in (0, 1, 2, 8, 9, 10):
            raise ProtocolError(1002)
        if opcode >= 8 and (length > 125 or not first & 0x80):
            raise ProtocolError(1002)
        if length == 126:
            start = 4
        elif length == 127:
            start = 10
        if start > 2:
            if len(data) < start:
                return None
            length = int.from_bytes(data[2:start], "big")
            if length < (126 if start == 4 else 65536):
                raise ProtocolError(1002)
        if length > MAX_PAYLOAD:
            raise ProtocolError(1009)
        end = start + 4 + length
        if len(data) < end:
            return None
        key = data[start : start + 4]
        payload = bytes(octet ^ key[i % 4] for i, octet in enumerate(data[start + 4 : end]))
        self.rest = data[end:]
        return Frame(opcode, payload, bool(first & 0x80))
