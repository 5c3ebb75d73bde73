"""Two values side by side: short ones whole, and of long ones the place of the first difference."""

from dataclasses import dataclass

import pytest

from rtlab.grading.child.differences import BESIDE, CONTEXT, compared, show

MESSAGES = [{"id": number, "text": "a line of some length"} for number in range(20)]
XS = "x" * CONTEXT
NULLS = r"\x00" * CONTEXT


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes


def changed(place, **content):
    return [{**message, **content} if number == place else message for number, message in enumerate(MESSAGES)]


@pytest.mark.parametrize(
    ("got", "wanted", "sides"),
    [
        ("PING", "pong", ("'pong'", "'PING'")),
        ("7", 7, ("7 (number)", "'7' (text)")),
        (True, 1, ("1 (number)", "True (bool)")),
        (b"a", "a", ("'a' (text)", "b'a' (bytes)")),
        ((1,), [1], ("[1] (list)", "(1,) (tuple)")),
        (None, "x", ("'x'", "None")),
        ([1, 2], [1, 3], ("[1, 3]", "[1, 2]")),
        ([1, "2"], [1, 2], ("[1, 2]", "[1, '2']. The first difference is at [1]: expected 2 (number), got '2' (text)")),
    ],
)
def test_short_values_are_shown_whole(got, wanted, sides):
    assert compared(got, wanted) == sides


@pytest.mark.parametrize(
    ("got", "wanted", "end"),
    [
        (changed(17, id="17"), MESSAGES, "at [17]['id']: expected 17 (number), got '17' (text)"),
        (changed(9, id=99), MESSAGES, "at [9]['id']: expected 9, got 99"),
        (changed(3, more=1), MESSAGES, "at [3]['more']: expected nothing, got 1"),
        (MESSAGES[:-1], MESSAGES, f"{MESSAGES[19]}, got nothing (20 elements expected, 19 came)"),
        (MESSAGES, MESSAGES[1:], "at [0]['id']: expected 1, got 0"),
        ("x" * 500 + "a", "x" * 500 + "b", f"at index 500: expected …'{'x' * 20}b', got …'{'x' * 20}a'"),
        (
            "x" * 500,
            "x" * 501,
            f"at index 500: expected …'{XS}x' (501 characters), got …'{XS}' and then its end (500 characters)",
        ),
        (
            b"\0" * 300 + b"\1\2",
            b"\0" * 300 + b"\2\2",
            f"at index 300: expected …b'{NULLS}\\x02\\x02', got …b'{NULLS}\\x01\\x02'",
        ),
        (Frame(1, b"x" * 200), Frame(2, b"x" * 200), "at .opcode: expected 2, got 1"),
        (changed(2, text="x" * 99 + "1"), changed(2, text="x" * 99), f"at [2]['text'], index 99: expected …'{XS}'"),
    ],
)  # fmt: skip
def test_of_long_values_the_first_difference_is_named(got, wanted, end):
    ours, theirs = compared(got, wanted)
    assert len(ours) == BESIDE + 1
    assert f". The first difference is {'' if end.startswith('at') else 'at [19]: expected '}{end}" in theirs


def test_of_large_sets_what_is_lacking_is_named():
    wanted = {f"room {number}" for number in range(30)}
    assert compared(wanted - {"room 7"} | {"hall"}, wanted) == (
        "a set of 30 elements",
        "one of 30 that lacks 'room 7' and also holds 'hall'",
    )


def test_what_cannot_be_walked_through_is_shown_all_the_same():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    ours, theirs = compared(deep, [1])
    assert ours == "[1]"
    assert theirs.startswith("a list that is nested too deeply to be shown")
    for _ in range(100_000):  # one after the other: at once they would overflow C's stack on some machines
        (deep,) = deep


class Ends:
    def __repr__(self):
        raise SystemExit


def test_a_repr_cannot_end_the_check():
    assert show(Ends()) == "a Ends whose repr raises"
    assert compared(Ends(), "x") == ("'x'", "a Ends whose repr raises")
