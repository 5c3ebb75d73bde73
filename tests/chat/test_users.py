"""Budgets by user: they outlive connections until they are full again, and no longer."""

import logging
import time

from rtlab.chat.auth import Identity
from rtlab.chat.clock import Clock
from rtlab.chat.connections import Connections
from rtlab.chat.limits import Limits
from rtlab.servers.repeats import RepeatLog

LIMITS = Limits(events_per_s=10, burst=10, breaches=3, connections_per_user=3)


class Steady:
    """Seconds that the test sets."""

    now = 0.0

    def __call__(self):
        return self.now


async def nothing(*_):
    """Ends nobody."""


def house(limits=LIMITS):
    steady = Steady()
    log = RepeatLog(logging.getLogger("rtlab.chat"))
    return Connections(limits, nothing, nothing, Clock(steady=steady), log), steady


def enter(connections, number, user="alice"):
    identity = Identity(user, user, time.time() + 3600)
    connection = connections.connection_of(f"e{number}", {})
    refusal = connections.refusal(identity, connection)
    return refusal or connections.enter(f"s{number}", "/", identity, connection)


def say(connections, visitor, times):
    """How many of so many events are allowed."""
    return sum(connections.charge_event(visitor.connection, visitor.user) for _ in range(times))


async def test_one_budget_for_all_connections_and_the_next_one():
    connections, steady = house()
    one, other = enter(connections, 1), enter(connections, 2)
    assert say(connections, one, 4) + say(connections, other, 4) == 8, "and two were for coming in"
    assert say(connections, one, 1) == say(connections, other, 1) == 0
    for each in (one, other):
        connections.leave(each)
    assert enter(connections, 3) == "rate_limited"
    steady.now += 0.5
    third = enter(connections, 3)
    assert say(connections, third, 9) == 4
    assert say(connections, enter(connections, 4, "bob"), 9) == 9, "another user has another budget"


async def test_a_budget_is_forgotten_when_it_is_full_again_and_there_are_not_too_many(monkeypatch):
    connections, steady = house()
    connections.leave(enter(connections, 1))
    assert len(connections.users) == 1
    steady.now += 60
    connections.leave(enter(connections, 2, "bob"))
    assert len(connections.users) == 1, "alice's is full"
    monkeypatch.setattr("rtlab.chat.users.ABSENT_USERS", 5)
    for number in range(20):
        connections.leave(enter(connections, number, f"user {number}"))
    assert len(connections.users) <= 6
    there = enter(connections, 99, "carol")
    for number in range(20):
        connections.leave(enter(connections, number, f"user {number}"))
    assert connections.users.of("carol") is there.user, "who is here is never forgotten"


async def test_so_many_connections_at_the_same_time():
    connections, _ = house()
    here = [enter(connections, number) for number in range(3)]
    assert enter(connections, 3) == "too_many_connections"
    connections.leave(here[0])
    assert enter(connections, 4) not in {"too_many_connections", "rate_limited"}


async def test_the_connection_that_says_most_is_ended_and_others_of_its_user_are_not():
    connections, steady = house()
    loud, quiet = enter(connections, 1), enter(connections, 2)
    for _ in range(20):  # two seconds: the loud one asks for twice the rate, the other says something now and then
        steady.now += 0.1
        say(connections, loud, 2)
        if _ % 5 == 0:
            say(connections, quiet, 1)
    assert loud.connection.thrown_out
    assert not quiet.connection.thrown_out
    assert quiet.connection.breaches == 0


async def test_a_connection_that_is_in_one_namespace_is_let_into_the_other_and_owes_the_token():
    connections, _ = house()
    alice = enter(connections, 1)
    assert say(connections, alice, 99) == 9
    assert connections.refusal(alice.identity, alice.connection) is None
    assert enter(connections, 2) == "rate_limited"


async def test_what_is_owed_is_waited_for():
    connections, steady = house()
    alice = enter(connections, 1)
    assert say(connections, alice, 1) == 1
    alice.user.bucket.debt(steady(), 28)
    assert say(connections, alice, 1) == 0
    assert alice.connection.breaches == 0, "it has not said too much, only asked for much"
    steady.now += 2.2
    assert say(connections, alice, 5) == 2


async def test_a_newer_token_shortens_nobodys_stay():
    connections, _ = house()
    now = time.time()
    short, long = (Identity("alice", name, now + seconds) for name, seconds in (("Al", 60), ("Alice", 3600)))
    environ = {}
    one = connections.enter("a", "/", short, connections.connection_of("e", environ))
    other = connections.enter("b", "/notifications", long, connections.connection_of("e", environ))
    newer = Identity("alice", "Al", now + 600)
    connections.refresh(one, newer)
    assert (one.identity, other.identity) == (newer, long)
