"""Exercise 09: a chat. Write the body of `register`, then run `rtlab grade 09`."""

import socketio

LONGEST_NAME = 64
"""Characters of a room's name. One that is longer, or empty, or no text, is no name."""
LONGEST_TEXT = 1000
"""Characters of a message. One that is longer, or empty, or no text, is no message."""
TYPING_S = 2.0
"""Seconds from one notice that a user types in a room to the next one."""


def register(sio: socketio.AsyncServer, *, history: int = 50, rooms: int = 100) -> None:
    """Put a chat on a server: four events, and `disconnect`. Two servers with a chat each share nothing.

    `connect` is there already: the session of each connection (`sio.get_session`) is {"username": "Ada"}. One user may
    have several connections. A connection is a member of a room from the time it has joined it until it leaves it or
    ends. A user is in a room while any connection of hers is a member of it.

    - `chat:join` with a room's name makes this connection a member. The connection hears `chat:history` with a list:
      the room's last messages, `history` at most, oldest first, as they went to the members then. After that comes the
      ack, {"status": "ok", "room": "tea", "members": ["Ada", "Mary"]}: the users in the room now, sorted, each once.
      If the user was not yet in the room, the other members hear `chat:userJoined` with {"username": "Ada",
      "room": "tea"}. A connection that is a member already may join again, and gets the same answers; the others hear
      nothing.
    - `chat:leave` with a room's name ends the membership, if there is one: {"status": "ok"}. If the user is no longer
      in the room, those who still are hear `chat:userLeft` with {"username": "Ada", "room": "tea"}. So they do, in each
      of its rooms, when a connection ends.
    - `chat:message` with {"room": "tea", "text": "Milk?"}, from a member: every member of the room, the sender
      included, hears `chat:message` with {"id": …, "username": "Ada", "room": "tea", "text": "Milk?", "timestamp": …}.
      The id is a text, and no two messages have the same. The timestamp is a whole number, the milliseconds since 1970.
      The ack is {"status": "ok", "id": …}. What else the sender puts into it is ignored.
    - `chat:typing` with a room's name, from a member: the members that are connections of other users hear
      `chat:typing` with {"username": "Ada", "room": "tea"}, but not if such a notice of this user and room went out
      less than `TYPING_S` ago; one counts also if nobody else was there to hear it. The ack is {"status": "ok"}. The
      time goes on when the user leaves the room and joins it again, as long as the room is there.

    A connection that joins while others talk gets every message once: in the history, or live after it.

    Texts and names are taken as they are: nothing is trimmed, and case counts.

    Every event gets an ack if the client asks for one, whatever comes with it, or nothing. Where it cannot be done, the
    ack is {"status": "error", "code": …, "message": …} and nothing else happens. The message is a sentence for people;
    where a field of `chat:message` is bad, it names the field.
    The code is "bad_payload" for a bad name, a bad text, another shape, or anything but one argument; "not_a_member"
    where only a member may; "rooms_full" as below.

    Clients choose names freely, and whatever they choose is a room of the chat and nothing else, the id of somebody's
    connection included. Nothing is kept of connections that have ended, or of rooms that are gone.

    Args:
        sio: the server; no handler but `connect` is on it.
        history: so many messages are kept of each room; it can be 0. Older ones are forgotten: their memory is free.
        rooms: there are so many rooms at most. A room is there while somebody is in it, and after that while messages
            of it are kept. If one has to be made and there is no place, the room that has been empty for the longest
            time is forgotten, with its messages. If none is empty, the ack is "rooms_full".
    """
    raise NotImplementedError
