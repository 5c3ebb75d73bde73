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

        Attachments belong to the packet that announced them. In its JSON, an object with `"_placeholder": true` stands
        for each, at any depth; its "num" is the number of the attachment, and 0 is the one that comes first. The
        attachment takes the place of that object. The data of packets without attachments stays as it is. A packet
        that announces 0 attachments is complete at once. Engine.IO's own packets may come at any time and change
        nothing.

        Nothing is kept of a packet once it is complete.

        Returns:
            The packet that this message completes. None if it is Engine.IO's own, or if attachments are missing.

        Raises:
            ValueError: the message cannot be right. That is so if

                - it has no known type (Engine.IO's 0 to 6, Socket.IO's 0 to 6), or it announces attachments and does
                  not say how many, as `45-[…]`;
                - it is not JSON where JSON has to be: events and acknowledgements always carry some. NaN and Infinity
                  are not JSON, and what is nested too deeply for Python's `json` counts as none;
                - it is binary and no attachment is missing, or it is another Socket.IO packet while one is missing;
                - a placeholder has a "num" that is no whole number from 0 to below the number of attachments. True is
                  no number. In `450-…` every placeholder is wrong. This is found when the text comes, before any
                  attachment.
        """
        raise NotImplementedError
