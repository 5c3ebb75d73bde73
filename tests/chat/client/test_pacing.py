"""How fast a client sends: nearly as fast as a server lets it, and never so that a server ends its connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.chat import Limits
from rtlab.chat.client.pacing import PAUSE_MAX_S, PAUSE_S, RETRY_MAX_S, RETRY_S, Backoff, Pace
from rtlab.realtime.budgets import Bucket

LIMITS = Limits()


@pytest.mark.parametrize("clients", [1, 3, 5, 20])
def test_against_the_chats_default_limits(clients):
    """As `rtlab.chat.connections` counts: a budget of the user's, and one of each connection that tells its share."""
    user = Bucket(LIMITS.events_per_s, LIMITS.burst, 0.0)
    shares = [Bucket(LIMITS.events_per_s, LIMITS.burst, 0.0) for _ in range(clients)]
    paces, breaches, worst = [Pace() for _ in range(clients)], [0] * clients, 0
    at = [0.0] * clients
    accepted = 0
    while min(at) < 200:
        which = at.index(min(at))
        now = at[which]
        if (wait := paces[which].take(now)) > 0:
            at[which] += wait
            continue
        within_share = shares[which].take(now, clients)
        if not shares[which].breaches:
            breaches[which] = 0
        if user.take(now):
            accepted += 1
            paces[which].accepted()
        else:
            breaches[which] += not within_share
            worst = max(worst, breaches[which])
            paces[which].refused(now)
        at[which] += 0.005
    assert worst < LIMITS.breaches / 4
    assert accepted / 200 > LIMITS.events_per_s / 2


def test_without_refusals_it_does_not_wait():
    pace = Pace()
    assert [pace.take(1.0) for _ in range(1_000)] == [0.0] * 1_000


def test_a_pause_that_does_not_help_is_followed_by_a_longer_one():
    pace, now, pauses = Pace(), 0.0, []
    for _ in range(6):
        pace.refused(now)
        pace.refused(now + 0.1)  # it was on its way at the same time
        pauses.append(pace.take(now))
        now += pauses[-1]
    assert pauses == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S, PAUSE_MAX_S, PAUSE_MAX_S, PAUSE_MAX_S]
    for _ in range(10):
        pace.accepted()
    pace.refused(now)
    assert pace.take(now) == PAUSE_S


@given(st.integers(1, 50))
def test_backoff_grows_to_its_limit(times):
    backoff = Backoff()
    waits = [backoff.next() for _ in range(times)]
    for number, wait in enumerate(waits):
        longest = min(RETRY_S * 2**number, RETRY_MAX_S)
        assert longest / 2 <= wait <= longest
