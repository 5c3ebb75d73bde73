"""Who is here, and until when."""

import asyncio
import time

from deadlines import WAIT_S

from rtlab.chat.auth import Identity
from rtlab.chat.connections import Connections, Visitor
from rtlab.chat.limits import Limits


class Ends:
    """Notes who is ended."""

    def __init__(self) -> None:
        self.of: list[str] = []
        self.some = asyncio.Event()

    async def __call__(self, visitor: Visitor) -> None:
        self.of.append(visitor.sid)
        self.some.set()

    async def hung_up(self, eio_sid: str) -> None:
        self.of.append(f"all of {eio_sid}")


def identity(user: str, seconds: float) -> Identity:
    return Identity(user, user, time.time() + seconds)


async def test_a_visit_ends_with_its_token_and_others_go_on():
    ends = Ends()
    connections = Connections(Limits(), ends, ends.hung_up)
    connections.enter("a", "/", identity("alice", 0.05), "e", {})
    connections.enter("b", "/", identity("bob", 3600), "e", {})
    async with asyncio.timeout(WAIT_S):
        await ends.some.wait()
    assert ends.of == ["a"]


async def test_one_connection_with_several_namespaces_and_one_bucket():
    connections = Connections(Limits(), Ends(), Ends().hung_up)
    environ = {"REMOTE_ADDR": "127.0.0.9"}
    one = connections.enter("a", "/", identity("alice", 3600), "e", environ)
    other = connections.enter("b", "/notifications", identity("alice", 3600), "e", environ)
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
    connections = Connections(Limits(), ends, ends.hung_up)
    environ = {}
    one = connections.enter("a", "/", identity("alice", 0.05), "e", environ)
    connections.enter("b", "/notifications", identity("alice", 0.05), "e", environ)
    connections.enter("c", "/other", identity("bob", 0.1), "e", environ)
    connections.refresh(one, identity("alice", 3600))
    async with asyncio.timeout(WAIT_S):
        await ends.some.wait()
    assert ends.of == ["c"], "later than the old tokens of the others"


async def test_thrown_out_is_with_all_namespaces_and_once():
    ends = Ends()
    connections = Connections(Limits(), ends, ends.hung_up)
    environ = {}
    one = connections.enter("a", "/", identity("alice", 3600), "e", environ)
    connections.enter("b", "/notifications", identity("alice", 3600), "e", environ)
    connections.throw_out(one.connection)
    connections.throw_out(one.connection)
    async with asyncio.timeout(WAIT_S):
        while len(ends.of) < 3:
            await asyncio.sleep(0)
    assert (sorted(ends.of[:2]), ends.of[2:]) == (["a", "b"], ["all of e"])
