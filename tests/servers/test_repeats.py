"""A log that is summed up: whatever repeats, a few lines and a number."""

import asyncio
import logging

from eventually import until

from rtlab.servers.repeats import INTERVAL_S, LINES, RepeatLog


async def test_the_first_lines_and_then_a_number(caplog):
    caplog.set_level(logging.INFO)
    repeats = RepeatLog(logging.getLogger("test.repeats"))
    for number in range(1000):
        repeats.log(logging.INFO, "token", "refused %d", number, extra={"number": number})
    repeats.log(logging.WARNING, "origin", "another kind")
    assert [each.getMessage() for each in caplog.records] == [
        *(f"refused {number}" for number in range(LINES)),
        "another kind",
    ]
    assert caplog.records[0].number == 0
    caplog.clear()
    repeats.sum_up()
    (line,) = caplog.records
    assert line.getMessage() == f"token: {1000 - LINES} more in {INTERVAL_S:g} s"
    assert (line.kind, line.repeated, line.levelno) == ("token", 1000 - LINES, logging.INFO)


async def test_it_sums_up_by_itself_and_begins_anew(caplog, monkeypatch):
    monkeypatch.setattr("rtlab.servers.repeats.INTERVAL_S", 0.5)  # so that all lines come in one of them
    caplog.set_level(logging.INFO)
    repeats = RepeatLog(logging.getLogger("test.repeats"))
    for _ in range(LINES + 3):
        repeats.log(logging.INFO, "kind", "a line")
    await until(lambda: any("3 more" in each.getMessage() for each in caplog.records))
    caplog.clear()
    repeats.log(logging.INFO, "kind", "a line")
    assert len(caplog.records) == 1
    repeats.sum_up()
    assert len(caplog.records) == 1, "nothing was left out"


def test_another_event_loop_begins_anew(caplog):
    repeats = RepeatLog(logging.getLogger("test.repeats"))

    async def log_all() -> list[bool]:
        return [repeats.log(logging.WARNING, "kind", "a line") for _ in range(LINES + 2)]

    for _ in range(2):
        assert asyncio.run(log_all()) == [True] * LINES + [False] * 2, "it says whether it has written"
    assert len(caplog.records) == 2 * LINES
