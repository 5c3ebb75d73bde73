"""One view of several logs: names, order of each, bounds, and what is cut off."""

from __future__ import annotations

import asyncio

import pytest
from deadlines import WAIT_S

from rtlab.scale import logs
from rtlab.scale.logs import ClusterLog, LogLine
from rtlab.servers.output import Log


class Printer:
    """Writes into a file as a child does."""

    def __init__(self, path):
        self.path = path
        self.log = Log(path)

    def say(self, text: str | bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def printers(tmp_path):
    """Two processes, and the log that has both."""
    log = ClusterLog()
    made = [Printer(tmp_path / name) for name in ("one", "two")]
    log.add("worker-1", made[0].log)
    log.add("worker-2", made[1].log)
    return log, *made


def test_each_line_has_its_name(printers):
    log, one, two = printers
    one.say("a\nb\n")
    two.say("c\n")
    log.say("worker-1 was killed")
    assert [str(line) for line in log.tail()] == [
        "worker-1 | a", "worker-1 | b", "worker-2 | c", "cluster  | worker-1 was killed",
    ]  # fmt: skip
    assert log.tail(1, of="worker-1") == [LogLine("worker-1", "b")]
    assert log.tail(0) == []
    assert str(log).endswith("cluster  | worker-1 was killed")
    assert repr(ClusterLog()) == "<ClusterLog, nothing was printed yet>"


def test_a_line_comes_once_it_has_ended_or_its_process_has(printers):
    log, one, _ = printers
    one.say("half")
    assert log.tail() == []
    one.say(" a line\nrest")
    assert [line.text for line in log.tail()] == ["half a line"]
    log.drop(one.log)
    one.log.keep()
    assert [line.text for line in log.tail()] == ["half a line", "rest"]
    one.say("never read\n")
    assert len(log.tail()) == 2


def test_a_character_that_is_cut_by_a_read_is_whole_again(printers):
    log, one, _ = printers
    for byte in "ü\n".encode():
        one.say(bytes([byte]))
        log.read()
    assert log.tail()[0].text == "ü"


def test_what_is_no_text_and_what_steers_a_terminal_does_no_harm(printers):
    log, one, _ = printers
    one.say(b"\xff\xfe \x1b[31mred\x1b[0m \x1b]0;title\x07 tab\there\r\n\x00nul\n")
    assert [line.text for line in log.tail()] == ["\ufffd\ufffd red ]0;title tab\there", "nul"]


def test_a_long_line_is_cut(printers):
    log, one, _ = printers
    one.say("x" * 1_000_000)
    log.read()
    one.say("\nnext\n")
    first, second = log.tail()
    assert first.text == "x" * logs.LINE_CHARACTERS + " …"
    assert second.text == "next"
    assert len(log._sources[0].rest) == 0


def test_a_flood_leaves_lines_out_and_says_so(printers):
    log, one, _ = printers
    line = "y" * 99 + "\n"
    one.say(line * (2 * logs.READ_BYTES // 100))
    log.read()
    assert "bytes were left out" in log.lines()[0].text or len(log.lines()) == logs.KEPT_LINES
    one.say("last\n")
    assert log.tail(1)[0].text == "last"
    assert len(log.lines()) <= logs.KEPT_LINES


def test_who_prints_as_fast_as_we_read_does_not_hold_us(printers, monkeypatch):
    log, one, _ = printers
    since = one.log.since

    def and_print(offset: int) -> bytes:
        one.say("more\n" * 1000)
        return since(offset)

    monkeypatch.setattr(one.log, "since", and_print)
    one.say("first\n")
    assert log.lines()[0].text == "first"
    log.drop(one.log)


def test_a_file_that_has_grown_is_emptied(printers, monkeypatch):
    log, one, _ = printers
    monkeypatch.setattr(logs, "FILE_BYTES", 1000)
    for number in range(100):
        one.say(f"{number} {'z' * 100}\n")
        log.read()
    assert one.path.stat().st_size < 1200
    assert [int(line.text.split()[0]) for line in log.lines()] == list(range(100)), "and nothing is lost"


async def test_following(printers):
    log, one, two = printers
    reading = asyncio.create_task(log.keep_reading())
    one.say("before\nlast before\n")
    log.read()

    async def follow(lines: int) -> list[str]:
        return [line.text async for line in log.follow(lines)]

    followers = [asyncio.create_task(follow(lines)) for lines in (0, 1, 10)]
    await asyncio.sleep(0)
    two.say("new\n")
    log.say("end")
    await asyncio.sleep(0)
    log.end()
    async with asyncio.timeout(WAIT_S):
        heard = await asyncio.gather(*followers)
    assert heard == [["new", "end"], ["last before", "new", "end"], ["before", "last before", "new", "end"]]
    reading.cancel()


async def test_who_follows_too_slowly_is_told(printers, monkeypatch):
    log, one, _ = printers
    one.say("first\n")
    log.read()
    following = log.follow(1)
    assert (await anext(following)).text == "first"
    for _ in range(3):
        one.say("".join(f"{number}\n" for number in range(logs.KEPT_LINES)))
        log.read()
    assert (await anext(following)).text == f"({2 * logs.KEPT_LINES} lines were left out)"
    assert (await anext(following)).text == "0"
    await following.aclose()
