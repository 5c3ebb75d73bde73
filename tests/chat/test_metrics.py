"""What a monitor reads."""

from rtlab.chat.metrics import Metrics


def test_gauges_are_read_when_asked_and_counters_count():
    people = [1, 2]
    metrics = Metrics({"rtlab_chat_connections": ("Clients.", lambda: len(people))})
    metrics.event("chat:join")
    metrics.event("chat:join")
    metrics.refusal("token_expired")
    people.append(3)
    lines = metrics.text().decode().splitlines()
    assert "rtlab_chat_connections 3.0" in lines
    assert 'rtlab_chat_events_total{event="chat:join"} 2.0' in lines
    assert 'rtlab_chat_refusals_total{reason="token_expired"} 1.0' in lines


def test_two_in_one_process_do_not_mix():
    one, other = Metrics({}), Metrics({})
    one.event("chat:join")
    assert b'event="chat:join"' not in other.text()
