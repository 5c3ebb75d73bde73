"""The story of a failure names who, what, when and the faults that lie between; the smallest history is minimal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instruments.checking.written import written

from rtlab.instruments.checking.checker import check
from rtlab.instruments.checking.fault_spans import spans
from rtlab.instruments.checking.smallest import smallest

AWAY = """
alice joins 1-0
bob joins 1-0
carol joins 1-0
bob cut
alice sends a-17
alice acked a-17 12-0
alice gets a-17 12-0
carol gets a-17 12-0
! worker-2 killed
bob returns 1-0 12-0
alice settles 12-0
bob settles 12-0
carol settles 12-0
"""


def story(text, **more):
    (finding,) = check(written(text, **more)).failures
    return finding.story


def test_missed_while_away():
    assert story(AWAY) == (
        "bob never received a-17 (offset 12-0), acknowledged to alice at 6. bob was disconnected at 4, came back at "
        "10, asked for what stands after 1-0, and was told that nothing is missing. Meanwhile: worker-2 killed at 9."
    )


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ("bob returns 1-0 12-0 lost", "But no message had come after it, and the server keeps 100 of each room."),
        ("bob returns 1-0 12-0 incomplete", "asked for what stands after 1-0, and was given pages up to 12-0 without"),
        ("bob returns - 12-0", "came back at 10, did not say how far it had followed, and was told that nothing is"),
        ("bob returns 12-0 12-0", "and came back at 10 and asked only for what stands after 12-0."),
        ("bob pages a-17 12-0\nbob returns 1-0 12-0 lost", "But at most 1 message had come after that, and the server"),
        ("bob gets a-17 12-0\nbob gets a-17 12-0", "bob received a-17 (offset 12-0) at 10, and again at 11."),
        ("bob gets a-17 12-0\nbob gets ghost 13-0", "bob received ghost (offset 13-0), first at 11, and nobody had"),
        ("bob gets a-17 12-0\ndan gets a-17 12-0", "at 11, in the room lobby, which it had not joined."),
        ("dan joins 12-0\ndan leaves\ndan gets a-17 12-0\nbob gets a-17 12-0", "which it had left at 11."),
        ("bob gets a-17 12-0\nalice acked b-1 13-0", "b-1 (offset 13-0) was acknowledged to alice at 11, and nobody"),
        (
            "bob gets a-17 12-0\nalice sends b-1\nalice refused b-1 forbidden\nbob gets b-1 13-0",
            "first at 13, though the server had refused it: forbidden, told to alice at 12.",
        ),
        (
            "bob gets a-17 12-0\nbob gets a-17 13-0",
            "at 12-0, as acknowledged to alice at 6, and at 13-0, where bob received it at 11. It left in 1 attempt.",
        ),
        (
            "alice sends b-1\nbob gets b-1 12-0",
            "a-17 at 12-0, as acknowledged to alice at 6, and b-1 at 12-0, where bob received it at 11.",
        ),
        (
            "bob gets a-17 12-0\nalice sends b-1\nalice acked b-1 5-0",
            "Before that, a-17 (offset 12-0) was acknowledged to alice at 6. Yet b-1 (offset 5-0) stands before it.",
        ),
        (
            "alice sends b-1\nbob gets b-1 13-0\nbob gets a-17 12-0",
            "bob received a-17 (offset 12-0) at 12, after b-1 (offset 13-0), which had come at 11.",
        ),
    ],
)
def test_each_trouble_has_a_story(instead, said):
    assert said in story(AWAY.replace("bob returns 1-0 12-0", instead))


def test_all_to_whom_it_happened_are_named():
    text = AWAY.replace("carol gets a-17 12-0\n", "")
    assert story(text).startswith("carol and bob never received a-17")
    assert "carol followed the room from 3 on, and had by 12 all that the server would give it" in story(text)


def test_only_faults_in_between_are_named():
    noise = AWAY.replace("alice joins 1-0", "! redis frozen begin\n! redis frozen end\nalice joins 1-0")
    assert "redis" not in story(noise)
    during = AWAY.replace("bob cut", "! redis frozen begin\nbob cut").replace(
        "alice settles", "! redis frozen end\nalice settles"
    )
    assert "Meanwhile: redis frozen from 4 to 12; worker-2 killed at 10." in story(during)
    many = AWAY.replace("! worker-2 killed", "! w killed\n" * 9)
    assert "Meanwhile: 6 earlier faults; w killed at" in story(many)


def test_spans():
    faults = written("! w killed begin\n! w frozen\n! w killed begin\n! w killed end\n! r gone end").only(kind="fault")
    assert [str(each) for each in spans(faults)] == [
        "w killed from 1 on",
        "w frozen at 2",
        "w killed from 3 to 4",
        "r gone, over at 5",
    ]


def test_the_smallest_history_of_a_miss():
    (finding,) = check(written(AWAY)).failures
    assert str(finding.smallest).splitlines() == [
        " 5  alice  sends a-17",
        " 6  alice  a-17 is acknowledged at 12-0",
        "10  bob    joins after 1-0: up to 12-0",
    ]
    assert str(finding).startswith("resumed: fail. bob never received")


@given(
    events=st.lists(st.integers(0, 300), unique=True, max_size=60),
    needed=st.sets(st.integers(0, 300), max_size=4),
    guess=st.sets(st.integers(0, 300), max_size=6),
)
def test_nothing_can_be_left_out_of_the_smallest(events, needed, guess):
    needed = needed & set(events)
    found = smallest([each for each in events if each in guess], events, lambda some: needed <= set(some))
    assert set(found) == needed
    assert list(found) == [each for each in events if each in needed]
