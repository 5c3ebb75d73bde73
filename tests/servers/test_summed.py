"""A log that cannot be made to grow, whoever logs: a few lines of each kind, and a number."""

import io
import logging
import threading

import pytest
from eventually import eventually

from rtlab.servers import summed
from rtlab.servers.summed import KIND_CHARACTERS, KINDS, SummedHandler


@pytest.fixture
def log():
    """A logger whose output is in `stream`."""
    logger = logging.Logger("test.summed")  # outside the tree: what pytest captures is not asked
    logger.stream = io.StringIO()
    logger.handler = SummedHandler(logger.stream)
    logger.handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(logger.handler)
    yield logger
    logger.handler.close()


def lines(log) -> list[str]:
    return log.stream.getvalue().splitlines()


def test_what_repeats_is_summed_up(log):
    for number in range(10_000):
        log.info("refused %05d", number)
    written = len(lines(log))
    assert lines(log)[:2] == ["INFO refused 00000", "INFO refused 00001"]
    assert len(log.stream.getvalue()) <= KIND_CHARACTERS + 100
    log.handler.sum_up()
    assert lines(log)[written:] == [f"INFO refused %05d: {10_000 - written} more"]
    log.info("refused %05d", 1)
    assert lines(log)[-1] == "INFO refused 00001", "a new interval"


def test_kinds_do_not_hide_each_other(log):
    for _ in range(2000):
        log.info("one %s", "x" * 20)
    log.info("another")
    log.warning("one %s", "at another level")
    for error in (ValueError("a"), KeyError("b")):
        log.info("one %s", "with an exception", exc_info=error)
    assert [each for each in lines(log) if "x" * 20 not in each] == [
        "INFO another",
        "WARNING one at another level",
        "INFO one with an exception",
        "ValueError: a",
        "INFO one with an exception",
        "KeyError: 'b'",
    ]


def test_a_message_that_is_put_together_does_not_make_kinds(log):
    for number in range(20_000):
        log.info("refused " + str(number) + "x" * 50)  # noqa: G003 - what others do
    assert len(log.handler._tallies) == KINDS + 1
    written = len(log.stream.getvalue())
    log.handler.sum_up()
    assert "records of many kinds: " in lines(log)[-1]
    assert written < KINDS * 100 + KIND_CHARACTERS


def test_it_sums_up_by_itself(log, monkeypatch):
    monkeypatch.setattr(summed, "INTERVAL_S", 0.2)
    for _ in range(1000):
        log.info("again %s", "x" * 20)
    eventually(lambda: "again %s: " in log.stream.getvalue())


def test_and_when_the_program_ends(log):
    for _ in range(1000):
        log.info("again %s", "x" * 20)
    log.handler.close()
    assert "again %s: " in lines(log)[-1]


def test_threads(log):
    def flood():
        for _ in range(2000):
            log.info("from a thread %s", "x" * 20)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    written = len(lines(log))
    log.handler.sum_up()
    assert lines(log)[-1] == f"INFO from a thread %s: {8000 - written} more"


class Unprintable:
    def __str__(self):
        raise RuntimeError("not today")


def test_what_cannot_be_formatted_is_said(log, capsys):
    log.info("%s", Unprintable())
    log.info("%d of %d", 1)
    log.info(Unprintable())
    assert lines(log) == [
        "INFO could not be logged: '%s' (RuntimeError)",
        "INFO could not be logged: '%d of %d' (TypeError)",
        lines(log)[2],
    ]
    assert lines(log)[2].startswith("INFO could not be logged: ")
    assert capsys.readouterr().err == ""


def test_nobody_reads_it_any_more(log):
    log.stream.close()
    log.info("into nothing")
