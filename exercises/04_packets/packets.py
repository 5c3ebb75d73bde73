"""Exercise 04: from frames to packets. Write the body of `Assembler`, then run `rtlab grade 04`."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Packet:
    """One Socket.IO packet, as the other end meant it."""

    type: int
    """0 connect, 1 disconnect, 2 event, 3 ack, 4 connect error. With attachments it is still an event or an ack."""
    namespace: str = "/"
    data: Any = None
    """What JSON and attachments say together; None if the packet carries nothing."""
    id: int | None = None
    """The number of the acknowledgement that is asked for, or given."""


class Assembler:
    """Turns the messages of one end of one Engine.IO WebSocket into Socket.IO packets.

    a = Assembler()
    a.add('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}')    None: Engine.IO's own
    a.add('42/shop,7["buy",{"item":"tea","qty":2}]')    Packet(2, "/shop", ["buy", {"item": "tea", "qty": 2}], 7)
    a.add('451-["photo",{"_placeholder":true,"num":0}]')    None: its attachment is missing
    a.add(b"GIF")    Packet(2, "/", ["photo", b"GIF"], None)

    The protocols: https://github.com/socketio/socket.io/tree/main/docs (engine.io-protocol and socket.io-protocol).
    """

    def add(self, frame: str | bytes) -> Packet | None:
        """Take the next message: text, or the bytes of a binary one.

        Attachments belong to the packet that announced them. Each goes where its number stands, wherever in the data
        that is, and the data of packets without attachments stays as it is. Engine.IO's own packets may come at any
        time and change nothing.

        Returns:
            The packet that this message completes. None if it is Engine.IO's own, or if attachments are missing.

        Raises:
            ValueError: the message cannot be right. It has no known type (Engine.IO's 0 to 6, Socket.IO's 0 to 6); it
                is not JSON where JSON has to be; it is binary and no attachment is missing; it is another Socket.IO
                packet while one is missing; or an attachment stands in the data with a number that is not below the
                number of attachments.
        """
        raise NotImplementedError
