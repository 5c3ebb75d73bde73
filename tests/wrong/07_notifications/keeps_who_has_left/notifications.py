"""Fails: test_a_subscription_ends_with_the_visit.

A client that has left stays among the subscribers: nobody takes it out.
"""

from collections import defaultdict

import socketio


class Notifications(socketio.AsyncNamespace):
    def __init__(self, namespace):
        super().__init__(namespace)
        self.topics = defaultdict(set)

    async def on_connect(self, sid, environ, auth):
        match auth:
            case {"username": str(name)} if name:
                return
        raise socketio.exceptions.ConnectionRefusedError("Authentication required", {"namespace": self.namespace})

    def forget(self, sid, topic):
        if topic in self.topics:
            self.topics[topic].discard(sid)
            if not self.topics[topic]:
                del self.topics[topic]

    async def on_subscribe(self, sid, *arguments):
        return self.changed(sid, arguments, lambda topic: self.topics[topic].add(sid), 20)

    async def on_unsubscribe(self, sid, *arguments):
        return self.changed(sid, arguments, lambda topic: self.forget(sid, topic), 10**9)

    def changed(self, sid, arguments, change, most):
        match arguments:
            case (list(topics),) if all(isinstance(each, str) and 1 <= len(each) <= 64 for each in topics):
                if len(self.of(sid) | set(topics)) > most:
                    return {"status": "error", "code": "too_many", "message": "That is too much."}
                for topic in topics:
                    change(topic)
                return {"status": "ok", "topics": sorted(self.of(sid))}
        return {"status": "error", "code": "bad_topics", "message": "These are no topics."}

    def of(self, sid):
        return {topic for topic, ids in self.topics.items() if sid in ids}

    async def publish(self, topic, payload):
        for sid in list(self.topics.get(topic, ())):
            await self.emit("notification", {**payload, "topic": topic}, to=sid)
