"""A plan: who writes what where, which faults come, and a sentence for each mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import UsageError
from rtlab.instruments.faults.schedule import Schedule
from rtlab.instruments.soaking.plan import FULL_KINDS, KINDS, SoakPlan


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"messages": 0}, "messages=0: expected a whole number from 1 to"),
        ({"messages": True}, "messages=True"),
        ({"seed": -1}, "seed=-1"),
        ({"workers": 0}, "workers=0"),
        ({"clients": 1}, "clients=1: expected a whole number from 2 to 50"),
        ({"clients": 51}, "clients=51"),
        ({"rooms": 5}, "rooms=5: expected a whole number from 1 to 4"),
        ({"rate": 0}, "rate=0: expected a positive number"),
        ({"rate": float("inf")}, "rate=inf"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"durability": "tape"}, "durability='tape': there is no such durability"),
        ({"kinds": ("worker_kiled",)}, "there is no fault 'worker_kiled'. There are: worker_killed, "),
        ({"kinds": ("failover",), "durability": "disk"}, "failover loses messages .* Choose durability replica"),
        ({"kinds": ("redis_killed",), "durability": "memory"}, "redis_killed .* Choose durability disk or replica"),
        ({"messages": 5, "kinds": KINDS}, "messages=5: 12 faults need 24 messages at least"),
    ],
)
def test_mistakes(given, said):
    with pytest.raises(UsageError, match=said):
        SoakPlan(**given)


@given(clients=st.integers(2, 50), rooms=st.integers(1, 4))
def test_who_writes_where(clients, rooms):
    plan = SoakPlan(clients=clients, rooms=rooms)
    assert len(set(plan.names)) == clients, "each client has a name of its own"
    users = {plan.user_of(name) for name in plan.names}
    assert len(users) == (clients - 1 if clients > 2 else 2), "one user has two clients"
    assert {room for name in plan.names for room in plan.rooms_of(name)} == set(plan.rooms_of(plan.names[0]))
    if rooms > 1 and clients > 2:
        assert len(plan.rooms_of(plan.names[-1])) == 1, "there is somebody who may not hear all"


@given(
    seed=st.integers(0, 2**32),
    messages=st.integers(150, 3000),
    durability=st.sampled_from(["memory", "disk", "replica"]),
)
def test_the_faults_fit(seed, messages, durability):
    plan = SoakPlan(seed=seed, messages=messages, durability=durability)
    assert isinstance(plan.schedule, Schedule)
    assert plan.schedule == SoakPlan(seed=seed, messages=messages, durability=durability).schedule
    assert {str(step.kind) for step in plan.schedule.steps} == set(FULL_KINDS[durability]), "each kind comes"
    assert all(step.ends_at <= messages for step in plan.schedule.steps)


def test_no_faults():
    assert SoakPlan(kinds=()).schedule.steps == ()
