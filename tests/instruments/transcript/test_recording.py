"""The order of rows, what is merged, what is dropped."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.transcript import recording
from rtlab.instruments.transcript.labels import make_labels
from rtlab.instruments.transcript.ordering import arrange
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.transcript.recording import RAW_BYTES, Recording
from rtlab.instruments.transcript.transcript import Direction, Kind, Row, Transcript

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT


def row(connection=1, direction=UP, kind=Kind.FRAME, summary="", raw=b"", **more):
    return Row(connection=connection, direction=direction, kind=kind, summary=summary, size=len(raw), raw=raw, **more)


def record(*rows, **options) -> Recording:
    made = Recording(**options)
    for each in rows:
        made.append(each)
    return made


def test_the_order_of_a_broadcast_means_nothing():
    """Whatever order the server's set of clients has this time: the transcript is the same."""
    seen = set()
    for order in itertools.permutations([1, 2, 3]):
        made = record(
            row(3, UP, summary="hello"),
            *[row(each, DOWN, summary="hello sid=abc") for each in order],
            row(1, UP, summary="next"),
            *[row(each, DOWN, summary="next") for each in order],
        )
        seen.add(made.transcript)
    (transcript,) = seen
    assert [(each.clock, each.connection, each.summary) for each in transcript] == [
        (0, 3, "hello"),
        (1, 1, "hello sid=SID-1"),
        (2, 2, "hello sid=SID-1"),
        (3, 3, "hello sid=SID-1"),
        (4, 1, "next"),
        (5, 1, "next"),
        (6, 2, "next"),
        (7, 3, "next"),
    ]


def heard(said: str) -> str:
    """The order of a run that is written as "2a 1a": what each connection says."""
    rows = [row(int(each[0]), DOWN, summary=each[1:]) for each in said.split()]
    return " ".join(f"{each.connection}{each.summary}" for each in record(*rows).transcript)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("2a 1b", "2a 1b"),  # not the same thing: as it came
        ("2a 1b 3a", "2a 3a 1b"),  # the place of the first of them
        ("2a 2b 1a 1b 3a 3b", "1a 2a 3a 1b 2b 3b"),
        ("1a 2a 3a 1b 2b 3b", "1a 2a 3a 1b 2b 3b"),
        ("2a 2b 1a 1c 1b", "1a 2a 1c 1b 2b"),  # c comes between a and b on its connection
        ("2a 1a 1c 2b 1b", "1a 2a 1c 1b 2b"),
        ("2a 2a 1a 1a", "1a 2a 1a 2a"),
        ("1a 1b 2b 2a", "1a 1b 2b 2a"),  # they cross each other: as they came
        ("2a 1b 1a 2b", "2a 1b 2b 1a"),
    ],
)
def test_broadcasts_stand_together(said, shown):
    assert heard(said) == shown


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abc")), max_size=12), st.randoms())
def test_how_connections_interleave_means_nothing(said, random):
    """Unless two broadcasts cross each other, the order depends on what each connection says, and on nothing else."""
    rows = [row(connection, DOWN, summary=text) for connection, text in said]
    arranged = arrange(rows)
    for connection in range(1, 5):
        assert [each for each in arranged if each.connection == connection] == [
            each for each in rows if each.connection == connection
        ]
    everybody = [
        row(connection, DOWN, summary=text)
        for text in dict.fromkeys(text for _, text in said)
        for connection in (1, 2, 3)
    ]
    queues = [[each for each in everybody if each.connection == connection] for connection in (1, 2, 3)]
    mixed = []
    while any(queues):
        mixed.append(random.choice([queue for queue in queues if queue]).pop(0))
    assert arrange(mixed) == everybody


def test_one_connection_keeps_its_order():
    rows = [row(1, DOWN, summary=str(number)) for number in range(50)]
    assert [each.summary for each in record(*rows).transcript] == [str(number) for number in range(50)]


def test_looking_changes_nothing():
    """Labels that a look ahead gave are given again when the rows have found their places."""
    looked, not_looked = Recording(), Recording()
    said = [(3, DOWN, "sid=c"), (2, DOWN, "sid=a"), (1, DOWN, "sid=c"), (1, UP, "sid=a"), (1, UP, "sid=b")]
    for connection, direction, summary in said:
        for made in (looked, not_looked):
            made.append(row(connection, direction, summary=summary))
        assert len(looked.transcript) == looked.count
    assert looked.transcript == not_looked.transcript
    assert [each.summary for each in looked.transcript] == [f"sid=SID-{number}" for number in (1, 1, 2, 2, 3)]


def test_raw_bytes_become_one_row_however_tcp_cut_them():
    made = record(
        row(1, UP, Kind.RAW, raw=b"he", problem="no HTTP"),
        row(2, UP, Kind.RAW, raw=b"--"),
        row(1, UP, Kind.RAW, raw=b"llo"),
        row(1, DOWN, Kind.RAW, raw=b"ok"),
        row(1, UP, Kind.RAW, raw=b"again"),
    )
    found = made.transcript
    assert [(each.connection, each.raw) for each in found] == [(1, b"hello"), (2, b"--"), (1, b"ok"), (1, b"again")]
    assert found[0].summary == "5 bytes: 'hello'"
    assert found[0].problem == "no HTTP"
    assert made.count == 4


def test_raw_rows_are_bounded():
    piece = row(1, UP, Kind.RAW, raw=bytes(RAW_BYTES - 1))
    (found,) = record(piece, piece, piece).transcript
    assert (found.size, found.raw, found.cut) == (3 * len(piece.raw), bytes(RAW_BYTES), True)


@pytest.mark.parametrize("looking", [True, False])
def test_old_rows_are_dropped(looking):
    final = []
    made = Recording(rows=3, on_final=final.append if looking else None)
    for number in range(10):
        made.append(row(1, (UP, DOWN)[number % 2], summary=str(number)))
    made.close_run()
    transcript = made.transcript
    assert [(each.clock, each.summary) for each in transcript] == [(7, "7"), (8, "8"), (9, "9")]
    assert transcript.dropped == 7
    assert str(transcript).startswith("(7 earlier rows were not kept)\n7  client-1 ← server  7\n")
    assert [each.clock for each in final] == (list(range(10)) if looking else [])


def test_the_data_that_is_kept_is_bounded():
    made = Recording(kept_bytes=100_000)
    for number in range(10):
        made.append(row(1, (UP, DOWN)[number % 2], raw=bytes(30_000)))
    made.close_run()
    assert len(made.transcript) == 3


@pytest.mark.parametrize("limit", [{"RUN_ROWS": 10}, {"RUN_BYTES": 10}])
def test_a_run_is_bounded(limit, monkeypatch):
    for name, value in limit.items():
        monkeypatch.setattr(recording, name, value)
    final = []
    made = Recording(on_final=final.append)
    for _ in range(30):
        made.append(row(1, DOWN, raw=b"x"))
    assert len(final) >= 15, "they do not wait for the other side"


def test_listeners_see_rows_as_they_come(caplog):
    seen = []
    made = Recording(make_labels(), on_row=seen.append)
    made.append(row(2, DOWN, summary="sid=b"))
    made.append(row(1, DOWN, summary="sid=a"))
    assert [(each.clock, each.summary) for each in seen] == [(0, "sid=b"), (1, "sid=a")]

    def fail(_):
        raise ValueError("mine")

    made = record(row(), row(direction=DOWN), on_row=fail)
    assert len(made.transcript) == 2
    assert "A listener of the tap failed" in caplog.text


def test_nothing():
    assert Recording().transcript == Transcript()


def test_what_is_answered_keeps_its_row():
    """Rows refer to others by the number with which they came, and are shown with the clock that those have."""
    made = record(
        row(2, UP, summary="b", clock=0),
        row(1, DOWN, summary="news", clock=1),
        row(2, DOWN, summary="other", clock=2, answers=0),
        row(2, DOWN, summary="news", clock=3),
        row(1, UP, summary="to news", clock=4, answers=1),
        row(2, UP, summary="to news", clock=5, answers=3),
    )
    shown = [(each.clock, each.connection, each.summary, each.answers) for each in made.transcript]
    assert shown == [
        (0, 2, "b", None),
        (1, 2, "other", 0),
        (2, 1, "news", None),
        (3, 2, "news", None),
        (4, 1, "to news", 2),
        (5, 2, "to news", 3),
    ]


def test_what_is_forgotten_is_not_named():
    made = record(*[row(1, UP if each % 2 else DOWN, clock=each) for each in range(10)], rows=2)
    made.append(row(1, DOWN, clock=10, answers=1))
    made.append(row(1, UP, clock=11, answers=8))
    assert [(each.clock, each.answers) for each in made.transcript][-2:] == [(10, None), (11, 8)]


def test_a_look_costs_the_same_after_any_number_of_rows(monkeypatch):
    shown = []
    original = recording.as_shown
    monkeypatch.setattr(recording, "as_shown", lambda *arguments: shown.append(1) or original(*arguments))
    made, packets = Recording(rows=3000), (PacketSeen(says="a"),) * 20
    for number in range(10_000):
        made.append(row(1, UP if number % 3 else DOWN, clock=number, packets=packets if number % 100 == 0 else ()))
    shown.clear()
    first = made.transcript
    assert len(shown) <= recording.PLACED + 2 * recording.RUN_ROWS
    shown.clear()
    assert made.transcript is first
    assert not shown, "nothing has come"


def test_a_row_with_many_packets_counts_as_many():
    made = Recording()
    for number in range(200):
        made.append(row(clock=number, packets=(PacketSeen(says="a"),) * 500))
        assert len(made._run) <= 3


@pytest.mark.parametrize(
    "make",
    [
        lambda number: {"raw": bytes(100)},
        lambda number: {"message": "\N{GRINNING FACE}" + f"{number:0500}"},  # four bytes a character
        lambda number: {"packets": tuple(PacketSeen(says=f"{number} {each}", data="x" * 99) for each in range(20))},
        lambda number: {"details": tuple(f"{number} {each}: {'y' * 50}" for each in range(20))},
        lambda number: {"summary": f"{number}"},
    ],
    ids=["bytes", "emoji", "packets", "details", "tiny"],
)
def test_what_is_kept_is_counted_in_bytes_of_memory(make, monkeypatch):
    limit = 2 * 2**20
    monkeypatch.setattr(recording, "RUN_BYTES", limit // 4)
    made = Recording(kept_bytes=limit, rows=10**9)
    tracemalloc.start()
    try:
        number = 0
        while made._dropped < 100:
            made.append(row(1, (UP, DOWN)[number % 2], clock=number, **make(number)))
            number += 1
        assert tracemalloc.get_traced_memory()[0] < limit * 1.5
    finally:
        tracemalloc.stop()
