"""Who is here, and until when."""

import asyncio
import logging
import time

from deadlines import WAIT_S

from rtlab.chat.auth import Identity
from rtlab.chat.clock import Clock
from rtlab.chat.connections import Connections, Visitor
from rtlab.chat.limits import Limits
from rtlab.servers.repeats import RepeatLog


class Ends:
    """Notes who is ended."""

    def __init__(self) -> None:
        self.of: list[str] = []
        self.reasons: list[str] = []
        self.some = asyncio.Event()

    async def __call__(self, visitor: Visitor, reason: str) -> None:
        self.of.append(visitor.sid)
        self.reasons.append(reason)
        self.some.set()

    async def hung_up(self, eio_sid: str) -> None:
        self.of.append(f"all of {eio_sid}")


def made(limits: Limits, ends: Ends) -> Connections:
    return Connections(limits, ends, ends.hung_up, Clock(), RepeatLog(logging.getLogger("rtlab.chat")))


def enter(connections: Connections, sid: str, namespace: str, who: Identity, environ: dict) -> Visitor:
    return connections.enter(sid, namespace, who, connections.connection_of("e", environ))


def identity(user: str, seconds: float) -> Identity:
    return Identity(user, user, time.time() + seconds)


async def test_a_visit_ends_with_its_token_and_others_go_on():
    ends = Ends()
    connections = made(Limits(), ends)
    enter(connections, "a", "/", identity("alice", 0.05), {})
    enter(connections, "b", "/", identity("bob", 3600), {})
    async with asyncio.timeout(WAIT_S):
        await ends.some.wait()
    assert (ends.of, ends.reasons) == (["a"], ["token_expired"])


async def test_one_connection_with_several_namespaces_and_one_bucket():
    connections = made(Limits(), Ends())
    environ = {"REMOTE_ADDR": "127.0.0.9"}
    one = enter(connections, "a", "/", identity("alice", 3600), environ)
    other = enter(connections, "b", "/notifications", identity("alice", 3600), environ)
    assert one.connection is other.connection
    assert one.connection.peer == "127.0.0.9"
    assert len(connections) == 1
    connections.leave(one)
    assert (one.gone, other.gone, len(connections)) == (True, False, 1)
    assert connections.get("a", "/") is None
    connections.leave(other)
    assert len(connections) == 0


async def test_a_newer_token_holds_for_all_namespaces_of_its_user():
    ends = Ends()
    connections = made(Limits(), ends)
    environ = {}
    one = enter(connections, "a", "/", identity("alice", 0.05), environ)
    enter(connections, "b", "/notifications", identity("alice", 0.05), environ)
    enter(connections, "c", "/other", identity("bob", 0.1), environ)
    connections.refresh(one, identity("alice", 3600))
    async with asyncio.timeout(WAIT_S):
        await ends.some.wait()
    assert ends.of == ["c"], "later than the old tokens of the others"


async def test_thrown_out_is_with_all_namespaces_and_once():
    ends = Ends()
    connections = made(Limits(), ends)
    environ = {}
    one = enter(connections, "a", "/", identity("alice", 3600), environ)
    enter(connections, "b", "/notifications", identity("alice", 3600), environ)
    connections.throw_out(one.connection)
    connections.throw_out(one.connection)
    async with asyncio.timeout(WAIT_S):
        while len(ends.of) < 3:
            await asyncio.sleep(0)
    assert (sorted(ends.of[:2]), ends.of[2:]) == (["a", "b"], ["all of e"])
    assert ends.reasons == ["rate_limited"] * 2


async def test_too_much_too_often_is_thrown_out():
    ends = Ends()
    connections = made(Limits(events_per_s=0.001, burst=2, breaches=2), ends)
    connection = connections.connection_of("e", {})
    assert [connections.charge_event(connection) for _ in range(4)] == [True, True, False, False]
    assert not connection.thrown_out
    assert not connections.charge_event(connection)
    assert connection.thrown_out
    async with asyncio.timeout(WAIT_S):
        while not ends.of:
            await asyncio.sleep(0)
    assert ends.of == ["all of e"]
