"""Exercise 07: notifications in a namespace of their own. Write the class, then run `rtlab grade 07`."""

from typing import Any

from socketio import AsyncNamespace

MAX_TOPICS = 20
"""Topics that one client may be subscribed to at a time."""
MAX_LENGTH = 64
"""Characters of a topic. It has at least one."""


class Notifications(AsyncNamespace):
    """Notifications by topic. A server takes it with `sio.register_namespace(Notifications("/notifications"))`.

    Two events come from clients, `subscribe` and `unsubscribe`. Their handlers are missing: write them. Each event
    has one argument, a list of topics such as ["builds", "weather"], and is answered with an ack:

    - {"status": "ok", "topics": ["builds", "weather"]}, with all the topics to which this client is subscribed now,
      sorted. An empty list, subscribing again, and leaving what one is not subscribed to are no errors.
    - {"status": "error", "code": "bad_topics", "message": "…"} for anything else than one list of texts of 1 to
      `MAX_LENGTH` characters, and {"status": "error", "code": "too_many", "message": "…"} for what would leave the
      client with more than `MAX_TOPICS`. The message is a sentence of yours. An error changes nothing.

    Topics are compared as they are: nothing is trimmed, and case counts.

    A subscription ends with the client's connection to this namespace; the client may enter again over the same
    WebSocket. Nothing is kept of clients that have left, or of topics without subscribers. Two objects of this class,
    registered under two names, know nothing of each other.
    """

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let in whoever has a name tag: `auth` is an object whose "username" is a text that is not empty.

        Everybody else is refused, whatever they sent instead. They get the message "Authentication required" and the
        data {"namespace": "/notifications"} (the name under which this object is registered). Other namespaces of the
        same client are neither asked nor touched.
        """
        raise NotImplementedError

    async def publish(self, topic: str, payload: dict[str, Any]) -> None:
        """Send a `notification` to the clients that are subscribed to a topic: once to each, and to nobody else.

        It has one argument, the payload with the topic added: publish("builds", {"ok": True}) gives
        {"topic": "builds", "ok": True}. A "topic" in the payload gives way to the real one. The payload itself stays
        as it was. If nobody is subscribed, nobody hears it. Clients may subscribe, unsubscribe and leave meanwhile.

        The program around the server calls this. A client cannot.
        """
        raise NotImplementedError
