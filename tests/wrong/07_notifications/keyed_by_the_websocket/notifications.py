"""Fails: test_a_subscription_ends_with_the_visit.

Subscriptions belong to the WebSocket, which goes on when a client leaves the namespace and enters again.
"""

from collections import defaultdict

import socketio


class Notifications(socketio.AsyncNamespace):
    def __init__(self, namespace):
        super().__init__(namespace)
        self.topics = defaultdict(set)
        self.now = {}
        self.of_sid = {}

    async def on_connect(self, sid, environ, auth):
        match auth:
            case {"username": str(name)} if name:
                eio_sid = environ["aiohttp.request"].query.get("sid") or id(environ)
                self.now[eio_sid] = sid
                self.of_sid[sid] = eio_sid
                return
        raise socketio.exceptions.ConnectionRefusedError("Authentication required", {"namespace": self.namespace})

    def forget(self, sid, topic):
        if topic in self.topics:
            self.topics[topic].discard(sid)
            if not self.topics[topic]:
                del self.topics[topic]

    async def on_subscribe(self, sid, *arguments):
        return self.changed(sid, arguments, lambda topic: self.topics[topic].add(self.of_sid[sid]), 20)

    async def on_unsubscribe(self, sid, *arguments):
        return self.changed(sid, arguments, lambda topic: self.forget(self.of_sid[sid], topic), 10**9)

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
        return {topic for topic, ids in self.topics.items() if self.of_sid[sid] in ids}

    async def publish(self, topic, payload):
        for eio_sid in list(self.topics.get(topic, ())):
            await self.emit("notification", {**payload, "topic": topic}, to=self.now[eio_sid])
