"""Bytes on their way: in order, when they are due, and not without bound."""

from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.faults.waiting import PART_BYTES, WAITING_BYTES, Waiting


def taken(waiting, now):
    parts = []
    while (data := waiting.take(now)) is not None:
        parts.append(data)
    return b"".join(parts)


def test_without_a_delay_nothing_has_to_wait():
    assert Waiting().passes


def test_bytes_are_due_after_the_delay():
    waiting = Waiting()
    waiting.delay_s = 1
    waiting.put(b"a", 10)
    waiting.put(b"b", 10.5)
    assert waiting.due == 11
    assert taken(waiting, 10.9) == b""
    assert taken(waiting, 11.2) == b"a"
    assert waiting.due == 11.5
    assert taken(waiting, 11.5) == b"b"
    assert waiting.due is None
    assert waiting.empty


def test_a_shorter_delay_holds_for_what_waits_already():
    waiting = Waiting()
    waiting.delay_s = 60
    waiting.put(b"a", 10)
    waiting.delay_s = 0
    assert not waiting.passes, "what comes next has to go behind it"
    assert taken(waiting, 10) == b"a"
    assert waiting.passes


def test_nothing_is_due_while_it_is_stalled():
    waiting = Waiting()
    waiting.stalled = True
    waiting.put(b"a", 10)
    assert waiting.due is None
    assert waiting.take(1e9) is None
    waiting.stalled = False
    assert taken(waiting, 10) == b"a"


def test_an_end_is_a_part_of_its_own():
    waiting = Waiting()
    waiting.stalled = True
    waiting.put(b"a", 10)
    waiting.put(b"", 10)
    waiting.put(b"b", 10)
    waiting.stalled = False
    assert [waiting.take(10), waiting.take(10), waiting.take(10), waiting.take(10)] == [b"a", b"", b"b", None]


def test_many_small_parts_fill_it_as_much_as_a_large_one():
    large, small = Waiting(), Waiting()
    large.stalled = small.stalled = True
    large.put(bytes(WAITING_BYTES), 0)
    assert large.full
    count = 0
    while not small.full:
        small.put(b"x", count)
        count += 1
    assert count <= WAITING_BYTES / PART_BYTES, "each costs memory"


@given(st.lists(st.tuples(st.binary(max_size=9), st.floats(0, 0.01), st.sampled_from([None, 0.0, 0.005])), max_size=40))
def test_order_is_kept_and_sizes_are_right_whatever_the_delay_becomes(script):
    waiting, now, sent, came = Waiting(), 0.0, b"", b""
    waiting.delay_s = 0.003
    for data, pause, delay in script:
        now += pause
        if delay is not None:
            waiting.delay_s = delay
        waiting.put(data, now)
        sent += data
        came += taken(waiting, now)
        assert waiting.size == len(sent) - len(came)
    came += taken(waiting, now + 1)
    assert came == sent
    assert waiting.empty
