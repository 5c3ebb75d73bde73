"""Fails: test_split_anywhere

The payload is unmasked as it arrives, and each piece begins with the first octet of the key again.
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
        self.frame = None

    def feed(self, data):
        self.rest += data
        frames = []
        while self.frame or self.begin():
            first, key, missing, payload = self.frame
            piece, self.rest = self.rest[:missing], self.rest[missing:]
            payload += bytes(octet ^ key[i % 4] for i, octet in enumerate(piece))
            self.frame = first, key, missing - len(piece), payload
            if missing > len(piece):
                break
            frames.append(Frame(first & 15, bytes(payload), bool(first & 0x80)))
            self.frame = None
        return frames

    def begin(self):
        data = self.rest
        if len(data) < 2:
            return False
        first, second = data[0], data[1]
        opcode, length, start = first & 15, second & 127, 2
        if first & 0x70 or opcode not in (0, 1, 2, 8, 9, 10) or not second & 0x80:
            raise ProtocolError(1002)
        if opcode >= 8 and (length > 125 or not first & 0x80):
            raise ProtocolError(1002)
        if length == 126:
            start = 4
        elif length == 127:
            start = 10
        if start > 2:
            if len(data) < start:
                return False
            length = int.from_bytes(data[2:start], "big")
            if length < (126 if start == 4 else 65536):
                raise ProtocolError(1002)
        if length > MAX_PAYLOAD:
            raise ProtocolError(1009)
        if len(data) < start + 4:
            return False
        self.frame = first, data[start : start + 4], length, bytearray()
        self.rest = data[start + 4 :]
        return True
