"""Fails: test_answers_bad_topics

It waits between counting and entering: two requests at once get in with too many topics.
"""

from typing import Any

from socketio import AsyncNamespace, exceptions

MAX_TOPICS = 20
"""Topics that one client may be subscribed to at a time."""
MAX_LENGTH = 64
"""Characters of a topic. It has at least one."""
ROOM = "topic:"
"""Begins the name of each room that stands for a topic. No client's id begins like this."""


class Notifications(AsyncNamespace):
    """Notifications by topic. A topic is a room of this namespace; a subscription is being in it."""

    async def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let in whoever has a name tag."""
        match auth:
            case {"username": str(name)} if name:
                return
        raise exceptions.ConnectionRefusedError("Authentication required", {"namespace": self.namespace})

    async def on_subscribe(self, sid: str, *arguments: Any) -> dict[str, Any]:
        """Enter a room for each topic."""
        topics = read(arguments)
        if topics is None:
            return BAD_TOPICS
        if len(self.topics_of(sid) | topics) > MAX_TOPICS:
            return TOO_MANY
        await self.server.sleep(0.01)
        for topic in topics:
            await self.enter_room(sid, ROOM + topic)
        return self.topics_ack(sid)

    async def on_unsubscribe(self, sid: str, *arguments: Any) -> dict[str, Any]:
        """Leave a room for each topic."""
        topics = read(arguments)
        if topics is None:
            return BAD_TOPICS
        for topic in topics:
            await self.leave_room(sid, ROOM + topic)
        return self.topics_ack(sid)

    async def publish(self, topic: str, payload: dict[str, Any]) -> None:
        """Send a `notification` to the clients that are subscribed to a topic."""
        await self.emit("notification", {**payload, "topic": topic}, room=ROOM + topic)

    def topics_of(self, sid: str) -> set[str]:
        """What a client is subscribed to."""
        return {room.removeprefix(ROOM) for room in self.rooms(sid) if room.startswith(ROOM)}

    def topics_ack(self, sid: str) -> dict[str, Any]:
        """The answer when all went well."""
        return {"status": "ok", "topics": sorted(self.topics_of(sid))}


BAD_TOPICS = {
    "status": "error",
    "code": "bad_topics",
    "message": f"expected one list of topics, texts of 1 to {MAX_LENGTH} characters each",
}
TOO_MANY = {"status": "error", "code": "too_many", "message": f"expected at most {MAX_TOPICS} topics in all"}


def read(arguments: tuple[Any, ...]) -> set[str] | None:
    """The topics that a client names, or None if they are none."""
    match arguments:
        case (list(topics),) if all(isinstance(topic, str) and 1 <= len(topic) <= MAX_LENGTH for topic in topics):
            return set(topics)
    return None
