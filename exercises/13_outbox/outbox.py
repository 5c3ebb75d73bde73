"""Exercise 13: an outbox. Write the class, then run `rtlab grade 13`."""

from typing import Any

import socketio

ANSWER_S = 0.5
"""Seconds after which an attempt counts as not answered."""


class RefusedError(Exception):
    """The chat has answered with an error that will not pass. It is complete as it is."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Outbox:
    """Sends messages to rooms of the course's chat, and fetches what was missed, over connections that break.

    Its rooms are those that `send` has entered with `chat:join`. A connection that ends has left them all, and the
    next one is in none.

    Args:
        client: a Socket.IO client that is connected to the chat. It connects again by itself, and nobody else uses
            it: an outbox may register handlers. While there is no connection, `emit` and `call` raise
            BadNamespaceError.

    Two outboxes share nothing. When no call is running, nothing of an outbox is: there is nothing to stop.
    """

    def __init__(self, client: socketio.AsyncClient) -> None:
        raise NotImplementedError

    async def send(self, room: str, text: str) -> str:
        """Store a message in a room, once, and give the id that the server has given to it.

        It enters the room where this connection is not yet in it. It asks again until there is an answer: after
        `ANSWER_S` without one, when the connection has ended and there is a new one, and after the codes
        "rate_limited" and "unavailable". It asks again within a second or so, and at most ten times a second. All
        attempts to send a message have the same `clientId`, and no other message of this user has it: neither one of
        this outbox nor one of another, on another machine or after a restart.

        Messages of one room are stored in the order in which `send` was called, also if many calls run at once. One
        that is refused or cancelled does not stop those behind it. After a cancelled `send`, nothing is tried any more.

        Raises:
            RefusedError: the server has answered with another error. That is not tried again. (But after "not_a_member"
                the room is entered, and the message is sent then.)
        """
        raise NotImplementedError

    async def resume(self) -> list[dict[str, Any]]:
        """Enter all of the rooms again, and give what was said in them and not given yet: each message once.

        That begins with what was said after `send` had entered the room, and goes on where the last `resume` has
        ended. Everybody's messages are given, one's own too, as the server sends them in `chat:history`: of each room
        the oldest first, whatever the order of the rooms. They come in pages, and all pages are fetched.

        It asks again as `send` does. A message counts as given when `resume` returns: if it is cancelled or raises,
        the next one gives all of it. It may be called while `send` is running, or another `resume`.

        Where the server says that messages of a room are `lost`, that is logged, as a warning that names the room, and
        those that are left are given.

        Raises:
            RefusedError: the server does not let it into a room any more. That is none of its rooms from then on, until
                `send` enters it anew.
        """
        raise NotImplementedError
