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
    are texts and not empty. Its `exp` is a number, and that time is still to come. `nbf`, where it is there, has come.

    Args:
        secret: signs the tokens; at least `SECRET_BYTES` in UTF-8.

    Raises:
        ValueError: the secret is too short.
    """

    def __init__(self, secret: str) -> None:
        raise NotImplementedError

    def sign_in(self, name: str) -> str:
        """A token for somebody who has proved the name, by a password for example. Nothing of that is asked here.

        Its `sub` and its `username` are the name. It lasts `LASTS_S` from now.
        """
        raise NotImplementedError

    def protect(self, sio: socketio.AsyncServer, namespaces: Iterable[str]) -> None:
        """Put a lock on some namespaces of a server. The others stay as they are.

        It is called once for a server, before that starts, and when all that belongs to it is registered: functions
        (`sio.on`) in some namespaces, a class (`sio.register_namespace`) in others. Some have a handler for `connect`
        or `disconnect`, some have none.

        Who wants to enter a namespace shows a token as `auth`, {"token": "eyJ…"}:

        - The `connect_error` has the message "Authentication required" where there is none: `auth` is no object, or
          has no "token", or that is None or "". It has the message "Invalid token" where there is one that is not
          good, whatever it is. Who is refused hears nothing of the namespace, neither before nor after.
        - With a good one, the session of this connection (`sio.get_session`) becomes {"sub": …, "username": …}, both
          from the token. Only then is the application's own handler for `connect` called, if there is one, with
          (sid, environ, auth): a function or a method, `async def` or `def`. What it does holds: it may refuse as well,
          by False or in words of its own. If it raises any other Exception, the client is refused with "Try again
          later".
        - When the token's `exp` has come, the server disconnects the client from this namespace.

        A client may forge events that are called `connect` or `disconnect` (chapters 05 and 07). Neither makes a stay
        longer, or gives it another name. The application's own handler for `disconnect` is called as before when a
        client leaves. From then on, nothing waits for that client any more.
        """
        raise NotImplementedError
