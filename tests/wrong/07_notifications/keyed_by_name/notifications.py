"""Fails: test_publishes_to_subscribers

Subscriptions hang on the name tag, so whoever wears the same one hears them too.
"""

from typing import Any

from socketio import AsyncNamespace, exceptions

MAX_TOPICS = 20
"""Topics that one client may be subscribed to at a time."""
MAX_LENGTH = 64
"""Characters of a topic. It has at least one."""


class Notifications(AsyncNamespace):
    """Notifications by topic. For each name its topics."""

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let in whoever has a name tag."""
        match auth:
            case {"username": str(name)} if name:
                await self.save_session(sid, {"username": name})
                await self.enter_room(sid, "user:" + name)
                return
        raise exceptions.ConnectionRefusedError("Authentication required", {"namespace": self.namespace})

    def __init__(self, namespace=None):
        super().__init__(namespace)
        self.topics = {}

    async def on_subscribe(self, sid: str, *arguments: Any) -> dict[str, Any]:
        """Add each topic."""
        topics = read(arguments)
        if topics is None:
            return BAD_TOPICS
        if len(await self.topics_of(sid) | topics) > MAX_TOPICS:
            return TOO_MANY
        for topic in topics:
            (await self.topics_of(sid)).add(topic)
        return await self.topics_ack(sid)

    async def on_unsubscribe(self, sid: str, *arguments: Any) -> dict[str, Any]:
        """Drop each topic."""
        topics = read(arguments)
        if topics is None:
            return BAD_TOPICS
        for topic in topics:
            (await self.topics_of(sid)).discard(topic)
        return await self.topics_ack(sid)

    async def publish(self, topic: str, payload: dict[str, Any]) -> None:
        """Send a `notification` to the clients that are subscribed to a topic."""
        for name, topics in self.topics.items():
            if topic in topics:
                await self.emit("notification", {**payload, "topic": topic}, room="user:" + name)

    async def topics_of(self, sid: str) -> set[str]:
        """What a name is subscribed to."""
        return self.topics.setdefault((await self.get_session(sid))["username"], set())

    async def topics_ack(self, sid: str) -> dict[str, Any]:
        """The answer when all went well."""
        return {"status": "ok", "topics": sorted(await self.topics_of(sid))}


BAD_TOPICS = {
    "status": "error",
    "code": "bad_topics",
    "message": f"expected one list of topics, each a text of 1 to {MAX_LENGTH} characters",
}
TOO_MANY = {"status": "error", "code": "too_many", "message": f"expected at most {MAX_TOPICS} topics in all"}


def read(arguments: tuple[Any, ...]) -> set[str] | None:
    """The topics that a client names, or None if they are none."""
    match arguments:
        case (list(topics),) if all(isinstance(topic, str) and 1 <= len(topic) <= MAX_LENGTH for topic in topics):
            return set(topics)
    return None
