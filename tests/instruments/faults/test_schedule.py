"""Schedules: the same from the same seed, printed and read back, and clear about what is wrong with one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import UsageError
from rtlab.instruments.direction import Direction
from rtlab.instruments.faults.schedule import ALL, MOST_MESSAGES, MOST_STEPS, FaultKind, Schedule, Step

SEED_42 = """\
seed 42, 2000 messages
at 37: connections_cut alice
at 117: worker_killed worker-2 for 74
at 173: redis_killed redis for 252
at 514: stalled bob to client for 210
at 556: redis_frozen redis for 135
at 758: worker_frozen worker-2 for 248
at 1046: acks_swallowed alice for 147
at 1407: delayed bob for 150
at 1478: failover redis
at 1668: subscription_cut redis
at 1707: half_closed alice to client for 213
at 1871: worker_drained worker-1"""

NAMES = st.text(st.characters(blacklist_categories=("Z", "C")), min_size=1, max_size=9).filter(
    lambda text: text[0] != "#" and not any(map(str.isspace, text))
)
COUNTS = st.integers(0, MOST_MESSAGES)


@st.composite
def steps(draw):
    kind = draw(st.sampled_from(FaultKind))
    way = draw(st.sampled_from(Direction)) if kind.has_direction else None
    return Step(draw(COUNTS), kind, draw(NAMES), draw(COUNTS) if kind.lasts else 0, way)


def test_a_seed_decides_on_every_python():
    assert str(Schedule.seeded(42, messages=2000, clients=["alice", "bob"])) == SEED_42


@given(st.lists(steps(), max_size=20), st.integers(-(10**17), 10**17), COUNTS)
def test_what_is_printed_is_read_back(made, seed, messages):
    schedule = Schedule(tuple(sorted(made, key=lambda step: step.at_message)), seed, messages)
    assert Schedule.parse(str(schedule)) == schedule


@given(
    st.integers(-(10**17), 10**17),
    st.lists(st.sampled_from(FaultKind), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(0, 40),
    st.integers(200, 10_000),
)
def test_what_a_seed_makes(seed, kinds, workers, count, messages):
    made = Schedule.seeded(seed, kinds, messages=messages, workers=workers, steps=count, clients=["a", "b"])
    assert made == Schedule.seeded(seed, kinds, messages=messages, workers=workers, steps=count, clients=["a", "b"])
    assert len(made.steps) == count
    assert {step.kind for step in made.steps} <= set(kinds)
    if count >= len(set(kinds)):
        assert {step.kind for step in made.steps} == set(kinds), "each comes once before any comes twice"
    for group in ("worker", "redis", "connection"):
        own = [step for step in made.steps if step.kind.group == group]
        for before, after in pairwise(own):
            assert before.ends_at <= after.at_message, "faults of a group do not overlap"
    assert all(step.ends_at < messages for step in made.steps)
    targets = {*(f"worker-{number}" for number in range(1, workers + 1)), "redis", "a", "b"}
    assert {step.target for step in made.steps} <= targets


def test_other_seeds_make_others():
    assert len({str(Schedule.seeded(seed).steps) for seed in range(50)}) == 50


def test_one_that_is_written_by_hand():
    schedule = Schedule.parse("\n# all clients\nat 5: connections_cut *  # once\n\n  at 5: worker_drained worker-1\n")
    assert schedule.steps == (Step(5, "connections_cut", ALL), Step(5, FaultKind.WORKER_DRAINED, "worker-1"))
    assert (schedule.seed, schedule.messages) == (0, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at 5 worker_killed worker-1", "line 1 of the schedule: expected a step such as 'at 120: worker_killed"),
        (
            "\nat 5: worker_kiled worker-1",
            "line 2 of the schedule: There is no fault 'worker_kiled'. There are: worker_k",
        ),
        ("at 5: stalled alice", "line 1 of the schedule: stalled needs a direction, 'to server' or 'to client'"),
        ("at 5: delayed alice to client for 3", "line 1 of the schedule: delayed has no direction"),
        ("at 5: connections_cut * for 3", "line 1 of the schedule: connections_cut ends by itself"),
        ("at 9: delayed a for 1\nat 8: delayed a for 1", "Expected the steps in the order in which they begin"),
        ("at 9: delayed a for 1\nseed 1, 2 messages", "line 2"),
        ("at ٣: delayed a for 1", "line 1"),
        ("at 99999999999: delayed a for 1", "from 0 to 1,000,000,000"),
        ("at 1: delayed a for 1\n" * (MOST_STEPS + 1), "at most 10,000 steps; line 10001"),
        ("x" * 10**6, "got 'xxx"),
    ],
)
def test_what_is_wrong_with_a_text(text, said):
    with pytest.raises(UsageError) as caught:
        Schedule.parse(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kinds": []}, "Expected one kind of fault at least. There are: worker_killed"),
        ({"kinds": ["nothing"]}, "There is no fault 'nothing'"),
        ({"kinds": "delayed"}, "Expected a list of kinds of faults, such as ['worker_killed'], got 'delayed'"),
        ({"kinds": 5}, "Expected a list of kinds of faults, such as ['worker_killed'], got 5"),
        ({"kinds": [None]}, "There is no fault None"),
        ({"workers": 0}, "Faults of workers need one worker at least, got workers=0"),
        ({"clients": []}, "Faults of connections need a list of clients' names"),
        ({"clients": "alice"}, "Faults of connections need a list of clients' names, got clients='alice'"),
        ({"clients": ["a b"]}, "A step's target is a name of up to 100 characters without blanks, got 'a b'"),
        ({"messages": 0}, "Expected from 1 to 1,000,000,000 messages, got 0"),
        ({"messages": True}, "Expected from 1 to"),
        ({"messages": 3}, "faults of the group worker need 6 messages, got 3"),
        ({"steps": -1}, "Expected from 0 to 10,000 steps, got -1"),
        ({"steps": 10**9}, "Expected from 0 to 10,000 steps"),
        ({"seed": "7"}, "A seed is a whole number of at most 18 digits, got '7'"),
        ({"seed": 10**18}, "A seed is a whole number"),
    ],
)
def test_wrong_arguments(options, said):
    with pytest.raises(UsageError) as caught:
        Schedule.seeded(options.pop("seed", 1), options.pop("kinds", FaultKind), **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("given", [None, 5, b"at 1: delayed alice", ["at 1: delayed alice"]])
def test_a_schedule_is_read_from_a_text(given):
    with pytest.raises(UsageError, match=r"Expected the text of a schedule, as str\(schedule\) gives it, got"):
        Schedule.parse(given)
