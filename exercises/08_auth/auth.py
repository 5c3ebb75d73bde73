"""Exercise 08: a lock for any number of namespaces. Write the class, then run `rtlab grade 08`."""

from collections.abc import Iterable

import socketio

SECRET_BYTES = 32
"""A secret has at least as many bytes: RFC 7518 §3.2 for HS256."""
LASTS_S = 900
"""Seconds that a token of `Guard.sign_in` lasts."""


class Guard:
    """Lets in whoever shows a good token, and for as long as the token lasts.

    A good token is a JSON Web Token that was signed with this guard's secret and HS256. Its claims `sub` and `username`
    are texts and not empty. Its `exp` is a number (one that fits into a float), and that time is still to come. `nbf`
    and `iat`, where they are there, have come. A token with an `aud` is meant for somebody else, and is not good here.

    There may be several guards, each with a secret of its own, and a guard may protect several servers.

    Args:
        secret: signs the tokens; at least `SECRET_BYTES` in UTF-8.

    Raises:
        ValueError: the secret is too short.
    """

    def __init__(self, secret: str) -> None:
        raise NotImplementedError

    def sign_in(self, name: str) -> str:
        """A token for somebody who has proved the name, by a password for example. Nothing of that is asked here.

        Its `sub` and its `username` are the name. It lasts `LASTS_S` from now; its `exp` is a whole number, rounded
        down.
        """
        raise NotImplementedError

    def protect(self, sio: socketio.AsyncServer, namespaces: Iterable[str]) -> None:
        """Put a lock on some namespaces of a server. The others stay as they are. `namespaces` may be a generator.

        It is called once for a server, before that starts, and when all that belongs to it is registered: functions
        (`sio.on`) in some namespaces, a class (`sio.register_namespace`) in others. Some have a handler for `connect`
        or `disconnect`, some have none.

        Who wants to enter a namespace shows a token as `auth`, {"token": "eyJ…"}:

        - The `connect_error` has the message "Authentication required" where there is none: `auth` is no object, or
          has no "token", or that is None or "". It has the message "Invalid token" where there is one that is not
          good, whatever it is: 0, False and [] are tokens, too. The connect_error has no data besides the message. A
          client that is refused hears nothing of the namespace, neither before nor after.
        - With a good one, the session of this connection (`sio.get_session`) becomes {"sub": …, "username": …}, both
          from the token. Only then is the application's own handler for `connect` called, if there is one, with
          (sid, environ, auth): a function or a method, `async def` or `def`. What it does holds: it may refuse as well,
          by returning False or by raising a `ConnectionRefusedError` of `socketio.exceptions`. If it raises any other
          Exception, Python's own ConnectionRefusedError included, the client is refused with "Try again later", and
          the exception is logged (`logging`, with its traceback). It may take its time, longer than the token
          lasts, and longer than the client stays: whoever has gone when it answers is not let in, and nothing is kept
          of them.
        - When the token's `exp` has come, the server disconnects the client from this namespace, and from no other.

        A client may forge events that are called `connect` or `disconnect` (chapter 05). Neither makes a stay longer,
        gives it another name, or reaches the application's own handlers. Such an event is ignored: the client stays
        connected. The application's own handler for
        `disconnect` is called as before when a client leaves, with (sid, reason), or with (sid) if it takes only
        that; it may take its time, too, and it may raise. From then on, and for a client that is refused, nothing
        waits for the token's end any more, and nothing is kept.
        """
        raise NotImplementedError
