"""The checker finds every kind of fault, passes every clean history, and says "unknown" where nobody looked."""

import random

import pytest
from growth import LINEAR, doubling
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from instruments.checking.broken import FAULTS, break_
from instruments.checking.simulated import simulated
from instruments.checking.written import written

import rtlab
from rtlab.chat.stores.protocols import position
from rtlab.errors import UsageError
from rtlab.instruments.checking.checker import MOST_SHOWN, check
from rtlab.instruments.checking.problems import Guarantee, Trouble

SEEDS = st.integers(0, 10**9)
PAIR = """
alice joins 1-0
bob joins 1-0
"""
END = """
alice settles 9-0
bob settles 9-0
"""
FINE = """
alice sends m1
alice acked m1 2-0
alice gets m1 2-0
bob gets m1 2-0
"""
"""A message that comes to both."""


def judged(text, **more):
    return check(written(text, **more))


def troubles(verdict):
    return [each.trouble for each in verdict.failures]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=SEEDS, bound=st.sampled_from([3, 5, 50]), steps=st.sampled_from([30, 120, 250]))
def test_a_clean_history_never_fails(seed, bound, steps):
    verdict = check(simulated(seed, bound=bound, steps=steps))
    assert verdict.failures == ()
    assert verdict.result == "pass" or all(each.guarantee is Guarantee.KEPT for each in verdict.unknowns)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.breaking.__name__)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_each_kind_of_fault_is_found(fault, seed):
    """One fault, one finding; and its smallest history shows it, and does not without any one of its events."""
    for attempt in range(seed, seed + 40):
        clean = simulated(attempt, bound=100 if attempt % 2 else 5)
        history = break_(clean, fault, attempt) if check(clean).result == "pass" else None
        if history is not None:
            break
    else:
        assume(False)
    verdict = check(history)
    (finding,) = verdict.failures
    assert (verdict.result, finding.guarantee, finding.trouble) == ("fail", fault.guarantee, fault.trouble)
    assert (finding.guarantee, finding.trouble) in shown_by(finding.smallest)
    assert set(finding.smallest) <= set(history)
    for left_out in finding.smallest:
        fewer = history.of(each for each in finding.smallest if each is not left_out)
        assert (finding.guarantee, finding.trouble) not in shown_by(fewer)


def shown_by(history):
    return {(each.guarantee, each.trouble) for each in check(history).failures}


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_no_single_receipt_can_be_left_out_unnoticed(seed):
    """Of what was acknowledged, and came live or on a return to somebody who followed to the end."""
    history = simulated(seed, bound=50)
    assume(check(history).result == "pass")
    acknowledged = {(each.room, each.id) for each in history.only(kind="acknowledged")}
    senders = {(each.room, each.id): each.client for each in history.only(kind="sent")}
    for gone in history.only(kind="received"):
        own = history.only(client=gone.client, room=gone.room)
        left = any(each.at > gone.at for each in own.only(kind="left"))
        joins = [each for each in own.only(kind="joined") if each.after is None]
        first_page = not gone.live and any(position(each.offset) >= position(gone.offset) for each in joins)
        if (gone.room, gone.id) not in acknowledged or left or first_page or senders[gone.room, gone.id] == gone.client:
            continue
        assert check(history.of(each for each in history if each is not gone)).result == "fail", str(gone)


# What is no fault


@pytest.mark.parametrize(
    "between",
    [
        # indefinite: it may have been stored or not
        "alice sends m2\nalice unanswered m2",
        "alice sends m2\nalice unanswered m2\nalice gets m2 3-0\nbob gets m2 3-0",
        "alice sends m2\nalice refused m2 server_error\nbob gets m2 3-0\nalice gets m2 3-0",
        "alice sends m2\nalice refused m2 a_code_of_tomorrow\nbob gets m2 3-0\nalice gets m2 3-0",
        # the acknowledgement was lost; a retry is refused, or stored before; an answer comes too late
        "alice sends m2\nalice unanswered m2\nalice sends m2\nalice acked m2 3-0\nbob gets m2 3-0\nalice gets m2 3-0",
        "alice sends m2\nalice unanswered m2\nalice sends m2\nalice refused m2 rate_limited\nbob gets m2 3-0",
        "alice sends m2\nalice unanswered m2\nalice refused m2 rate_limited\nbob gets m2 3-0\nalice gets m2 3-0",
        "alice sends m2\nalice sends m2\nalice refused m2 rate_limited\nbob gets m2 3-0\nalice gets m2 3-0",
        ("alice sends m2\nalice refused m2 rate_limited\nalice sends m2\nbob gets m2 3-0\nalice acked m2 3-0"
        "\nalice gets m2 3-0"),
        "alice sends m2\nbob gets m2 3-0\nalice gets m2 3-0\nalice sends m2\nalice refused m2 rate_limited",
        # a message comes before its sender hears that it is stored
        "alice sends m2\nbob gets m2 3-0\nalice gets m2 3-0\nalice acked m2 3-0",
        # a client comes late, and gets a page without gaps, before or after the answer
        "carol asks\ncarol pages m1 2-0\ncarol joins 2-0\ncarol settles 9-0",
        "carol asks\ncarol joins 2-0\ncarol pages m1 2-0\ncarol settles 9-0",
        "carol asks\ncarol gets m1 2-0\ncarol joins 2-0\ncarol settles 9-0",
        "carol joins 2-0\ncarol settles 9-0",
        # it leaves while a message is on its way; one comes before the answer
        "carol joins 2-0\nalice sends m2\nalice acked m2 3-0\ncarol leaves\nalice gets m2 3-0\nbob gets m2 3-0",
        ("carol joins 2-0\nalice sends m2\ncarol gets m2 3-0\nalice acked m2 3-0\ncarol leaves\nalice gets m2 3-0"
        "\nbob gets m2 3-0"),
        # it asks, gets no answer, hears something and leaves
        "carol asks\ncarol gets m1 2-0\ncarol leaves",
        # it leaves and comes again, as if new or where it was
        "carol joins 2-0\ncarol leaves\ncarol asks\ncarol pages m1 2-0\ncarol joins 2-0\ncarol settles 9-0",
        # it comes back in several pages, in the middle of which the connection breaks
        ("bob cut\nalice sends m2\nalice acked m2 3-0\nalice gets m2 3-0\nalice sends m3\nalice acked m3 4-0"
        "\nalice gets m3 4-0\nbob pages m2 3-0\nbob cut\nbob pages m3 4-0\nbob returns 2-0 4-0"),
        # two clients of one user
        ("alice-phone joins 2-0\nalice sends m2\nalice acked m2 3-0\nalice gets m2 3-0\nalice-phone gets m2 3-0"
        "\nbob gets m2 3-0\nalice-phone settles 9-0"),
        ("alice-phone joins 2-0\nalice sends m2\nalice unanswered m2\nalice-phone sends m2\nalice-phone acked m2 3-0"
        "\nalice gets m2 3-0\nalice-phone gets m2 3-0\nbob gets m2 3-0\nalice-phone settles 9-0"),
        # another room has its own offsets and members
        ("dan@garden joins 1-0\neve@garden joins 1-0\ndan@garden sends g1\ndan@garden acked g1 2-0"
        "\ndan@garden gets g1 2-0\neve@garden gets g1 2-0\ndan@garden settles 2-0\neve@garden settles 2-0"),
        # a message without an id
        "bob gets - 3-0\nalice gets - 3-0",
    ],
)  # fmt: skip
def test_this_is_no_fault(between):
    verdict = judged(PAIR + FINE + between + END)
    assert verdict.failures == (), verdict
    assert verdict.result == "pass", verdict


def test_messages_from_before_the_history_are_no_phantoms():
    verdict = judged(
        "alice asks\nalice pages old1 1-0\nalice pages old2 2-0\nalice joins 2-0\nbob joins 2-0\nbob pages old2 2-0\n"
        "alice sends m1\nalice acked m1 3-0\nalice gets m1 3-0\nbob gets m1 3-0\ncarol pages old1 1-0\n"
        "carol pages old2 2-0\ncarol pages m1 3-0\ncarol joins 3-0\ncarol settles 3-0\nalice settles 3-0\n"
        "bob settles 3-0"
    )
    assert verdict.result == "pass", verdict


def test_a_sender_that_the_server_does_not_echo_to():
    fine = "alice sends m1\nalice acked m1 2-0\nbob gets m1 2-0\nalice sends m2\nalice acked m2 3-0\nbob gets m2 3-0\n"
    assert judged(PAIR + fine + END).result == "pass"
    assert judged(PAIR + fine + "alice cut\nalice pages m2 3-0\nalice returns 2-0 3-0" + END).result == "pass"
    with_echo = fine.replace("bob gets m1 2-0", "alice gets m1 2-0\nbob gets m1 2-0")
    assert troubles(judged(PAIR + with_echo + END)) == [Trouble.NEVER_CAME]


# Losses that are easily overlooked


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        # the store has forgotten the end, so that even the last page does not reach it
        (PAIR + FINE + "alice sends m2\nalice acked m2 9-5\nalice gets m2 9-5" + END, Trouble.NEVER_CAME),
        # a page is a stretch without gaps
        (PAIR + FINE + "alice sends m2\nalice acked m2 3-0\nalice gets m2 3-0\nbob gets m2 3-0\nalice sends m3\n"
         "alice acked m3 4-0\nalice gets m3 4-0\nbob gets m3 4-0\ncarol pages m1 2-0\ncarol pages m3 4-0\n"
         "carol joins 4-0\ncarol settles 9-0" + END, Trouble.NEVER_CAME),
        (PAIR + FINE + "alice sends m2\nalice acked m2 3-0\nalice gets m2 3-0\nbob gets m2 3-0\n"
         "carol pages m1 2-0\ncarol joins 3-0\ncarol settles 9-0" + END, Trouble.NEVER_CAME),
        # one of a user's clients gets it, the other does not
        (PAIR + "bob-phone joins 1-0" + FINE + "bob-phone settles 9-0" + END, Trouble.NEVER_CAME),
        (
            PAIR + FINE + "alice sends m2\nalice acked m2 9-5\nalice gets m2 9-5" + END + "bob leaves",
            Trouble.NEVER_CAME,
        ),
        # a room begins with what nobody sent
        (PAIR + "bob gets ghost 1-5" + FINE + END, Trouble.NEVER_SENT),
        # the client itself passed over it
        (PAIR + "bob cut" + FINE.replace("bob gets m1 2-0", "") + "bob returns 2-0 2-0" + END, Trouble.NEVER_CAME),
        # it had left, and asks for what it missed
        (PAIR + "bob leaves" + FINE.replace("bob gets m1 2-0", "") + "bob returns 1-0 2-0" + END, Trouble.NOT_BROUGHT),
        # away at the end: what it got before shows that it missed something
        (PAIR + FINE.replace("bob gets m1 2-0", "") + "alice sends m2\nalice acked m2 3-0\nalice gets m2 3-0\n"
         "bob gets m2 3-0\nbob cut\nalice settles 9-0", Trouble.NEVER_CAME),
        # left before the end: the same
        (PAIR + FINE.replace("bob gets m1 2-0", "") + "alice sends m2\nalice acked m2 3-0\nalice gets m2 3-0\n"
         "bob gets m2 3-0\nbob leaves\nalice settles 9-0", Trouble.NEVER_CAME),
        # the same place again in the page of a return
        (PAIR + FINE + "bob cut\nbob pages m1 2-0\nbob returns 1-0 2-0" + END, Trouble.HANDED_TWICE),
        (PAIR + FINE + "bob leaves\nbob pages m1 2-0\nbob returns 2-0 2-0" + END, Trouble.HANDED_TWICE),
        # every attempt was refused, by whichever client
        (PAIR + FINE + "alice sends m2\nalice refused m2 rate_limited\nalice sends m2\nalice refused m2 token_expired\n"
         "bob gets m2 3-0" + END, Trouble.REFUSED),
        (PAIR + FINE + "alice sends m2\nalice refused m2 rate_limited\nbob gets m2 3-0\nalice sends m2\n"
         "alice acked m2 3-0\nalice gets m2 3-0" + END, Trouble.REFUSED),
        # it came before it was sent
        (PAIR + "bob gets m1 2-0\nalice sends m1\nalice acked m1 2-0\nalice gets m1 2-0" + END, Trouble.NEVER_SENT),
        # refused at the door, and hears all the same
        (PAIR + "carol asks\ncarol leaves" + FINE + "carol gets m1 2-0" + END, Trouble.AFTER_LEAVING),
        # heard before it asked
        (PAIR + FINE + "carol gets m1 2-0\ncarol asks\ncarol joins 2-0\ncarol settles 9-0" + END, Trouble.STRANGER),
    ],
)  # fmt: skip
def test_this_is_a_fault(text, trouble):
    verdict = judged(text)
    assert troubles(verdict) == [trouble], verdict


BOUND_5 = "\n".join(f"alice sends x{n}\nalice acked x{n} {n}-0\nalice gets x{n} {n}-0" for n in range(3, 9))
"""Six messages, 3-0 to 8-0."""


def away(pages, returns):
    got = "\n".join(f"bob pages x{n} {n}-0" for n in pages)
    return judged(f"{PAIR}{FINE}bob cut\n{BOUND_5}\n{got}\nbob returns {returns}{END}", bound=5)


def test_a_told_loss():
    verdict = away(range(4, 9), "2-0 8-0 lost")
    assert verdict.result == "pass"
    assert "said to be gone: 1 time." in verdict.of("kept")[0].story
    assert "1 time of them with messages rightly said to be gone" in verdict.of("resumed")[0].story
    assert "said to be gone" not in away(range(4, 9), "2-0 8-0").of("kept")[0].story
    assert troubles(away(range(4, 9), "2-0 8-0")) == [Trouble.NOT_BROUGHT]
    assert troubles(away(range(5, 9), "2-0 8-0 lost")) == [Trouble.TOLD_TOO_MUCH]
    assert troubles(away(range(3, 9), "3-0 8-0 lost")) == [Trouble.TOLD_LOST]


def test_what_was_perhaps_stored_counts_for_the_bound():
    """A message that nobody saw may have pushed an older one out."""
    doubtful = "alice sends y\nalice unanswered y\nalice sends z\nalice refused z bad_payload\n"
    text = PAIR + FINE + "bob cut\n" + doubtful + BOUND_5
    got = "\n".join(f"bob pages x{n} {n}-0" for n in range(5, 9))
    assert judged(f"{text}\n{got}\nbob returns 2-0 8-0 lost{END}", bound=5).result == "pass"
    sure = text.replace("unanswered y", "refused y not_a_member")
    assert troubles(judged(f"{sure}\n{got}\nbob returns 2-0 8-0 lost{END}", bound=5)) == [Trouble.TOLD_TOO_MUCH]


# What nobody knows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No message was acknowledged"),
        (PAIR + END, "No message was acknowledged"),
        (PAIR + "alice sends m1\nalice unanswered m1\nbob gets m1 2-0" + END, "No message was acknowledged"),
        ("alice joins 1-0" + FINE.replace("bob gets m1 2-0", "") + "alice settles 2-0", "Nobody but the senders"),
        (PAIR + "bob leaves\n" + FINE.replace("bob gets m1 2-0", "alice settles 9-0"), "Nobody but the senders"),
        (PAIR + FINE + "alice settles 2-0", "Nobody looked whether bob got the last messages"),
        (PAIR + FINE + "bob cut\nalice settles 2-0", "Nobody looked whether bob got the last messages"),
        (PAIR + FINE + "bob settles 2-0\nalice sends m2\nalice acked m2 3-0\nalice gets m2 3-0\nalice settles 3-0",
         "observation of bob in the room lobby ended before"),
        (PAIR + FINE + "carol gets m1 2-0\ncarol joins 2-0\ncarol settles 2-0" + END, "record `joining`"),
        (PAIR + FINE + "bob sends m1\nbob acked m1 3-0" + END, "alice and bob have each sent"),
    ],
)  # fmt: skip
def test_too_little_was_observed(text, said):
    verdict = judged(text)
    assert verdict.result == "unknown", verdict
    assert any(said in each.story for each in verdict.unknowns), verdict


def test_a_recorder_that_was_full_leaves_it_unknown():
    history = written(PAIR + FINE + END)
    full = rtlab.History(history, bound=5, dropped=7)
    verdict = check(full)
    assert verdict.result == "unknown"
    assert "7 later events" in verdict.unknowns[0].story


def test_a_failure_is_told_although_something_is_unknown():
    verdict = judged(PAIR + FINE + "bob gets ghost 3-0")
    assert verdict.result == "fail"
    assert verdict.unknowns


# The verdict


def test_each_guarantee_has_a_finding_and_failures_come_first():
    verdict = judged(PAIR + FINE + "bob gets m1 2-0" + END)
    assert {each.guarantee for each in verdict.findings} == set(Guarantee)
    assert [each.result for each in verdict.findings] == ["fail", *["pass"] * 5]
    (finding,) = verdict.of("once")
    assert (finding.clients, finding.id, finding.offset, finding.room) == (("bob",), "m1", "2-0", "lobby")
    assert str(verdict).startswith("fail\n  once:")
    with pytest.raises(ValueError, match="is not a valid Guarantee"):
        verdict.of("twice")


def test_many_alike_are_one_finding():
    many = "\n".join(f"alice sends n{n}\nalice acked n{n} {n}-0\nalice gets n{n} {n}-0" for n in range(3, 8))
    verdict = judged(PAIR + FINE + many + END)
    (finding,) = verdict.failures
    assert (finding.id, finding.also) == ("n3", 4)
    assert "The same happened with 4 further messages." in finding.story


def test_many_different_ones_are_counted():
    ghosts = "\n".join(f"bob gets ghost{n} {n}-0" for n in range(3, 30))
    verdict = judged(PAIR + FINE + ghosts + END)
    assert len(verdict.failures) == MOST_SHOWN
    assert verdict.unshown == 27 - MOST_SHOWN
    assert f"and {27 - MOST_SHOWN} more failures" in str(verdict)


def test_it_is_public_and_says_what_it_wants():
    assert rtlab.check is check
    with pytest.raises(UsageError, match=r"expected a History, got list\. A recorder gives one"):
        check([])


def test_it_takes_time_in_proportion():
    """Also where all goes wrong, and where one client comes back for each message."""

    def made(size):
        rng = random.Random(size)
        lines = [PAIR.strip()]
        for n in range(2, size):
            lines += [f"alice sends m{n}", f"alice acked m{n} {n}-0", f"alice gets m{n} {n}-0"]
            lines += ["bob cut", f"bob returns {n - 1}-0 {n}-0"] if rng.random() < 0.5 else [f"bob gets m{n} {n}-0"]
        return written("\n".join(lines))

    assert doubling(made, check, at_least=256) < LINEAR
