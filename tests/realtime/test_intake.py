"""What a client has sent is counted as it is in memory, and stops being read where its bounds are."""

import asyncio
import tracemalloc

import pytest
from deadlines import WAIT_S

from rtlab.errors import ProtocolError
from rtlab.realtime import Guards
from rtlab.realtime.admission import Admission
from rtlab.realtime.intake import Intake, Turn
from rtlab.realtime.limits import INBOX_BYTES, INBOX_MESSAGES, UNADMITTED_BYTES, UNADMITTED_PACKETS

pytestmark = pytest.mark.timeout(WAIT_S)


@pytest.mark.parametrize("text", ["x" * 20_000, "ü" * 20_000, "😀" * 20_000, b"x" * 20_000], ids=repr)
async def test_what_waits_is_bounded_in_bytes_of_memory(text):
    intake = Intake(Guards())
    tracemalloc.start()
    while not intake.full:
        intake.put(text + text[:0] if isinstance(text, bytes) else "".join([text, text[:1]]))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < INBOX_BYTES + 4 * 20_000 + 20_000, "the one that reaches it is the last"
    while intake:
        intake.take()
    assert not intake.full


async def test_and_in_messages():
    intake = Intake(Guards())
    for number in range(INBOX_MESSAGES + 1):
        assert not intake.full
        intake.put(str(number))
    assert intake.full
    waiting = asyncio.create_task(intake.wait(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert intake.take() == "0"
    await waiting


@pytest.mark.parametrize("what", ["room", "time"])
async def test_who_waits_goes_on_when_it_is_closed(what):
    intake = Intake(Guards())
    for _ in range(2 * INBOX_MESSAGES if what == "room" else 0):
        intake.put("x")
    waiting = asyncio.create_task(intake.wait(0 if what == "room" else 3600))
    await asyncio.sleep(0)
    assert not waiting.done()
    intake.close()
    await waiting
    await intake.begin_handler(10)


async def test_a_stranger_has_so_many_packets_and_bytes():
    for size, allowed in ((1, UNADMITTED_PACKETS), (8000, UNADMITTED_BYTES // 8000), (9000, 0)):
        intake = Intake(Guards())
        for _ in range(allowed):
            assert intake.count(size) == 0
        with pytest.raises(ProtocolError):
            intake.count(size)
        free = Intake(Guards(bound_unadmitted=False))
        for _ in range(2 * UNADMITTED_PACKETS):
            free.count(10)


async def test_a_packet_is_charged_with_the_fifteen_before_it():
    intake = Intake(Guards(packets_per_s=10))
    intake.admitted = True
    waits = [intake.count(1) for _ in range(64)]
    assert [number for number, each in enumerate(waits, 1) if each] == [48, 64]
    assert 0.7 < waits[47] <= 0.8, "forty may come at once"


async def test_everybody_has_a_turn_after_so_much_work(monkeypatch):
    monkeypatch.setattr("rtlab.realtime.intake.TURN_S", 0.0)
    turn, others = Turn(), []
    asyncio.get_running_loop().call_soon(others.append, 1)
    turn.begin()
    await turn.end()
    assert others == [1]
    monkeypatch.setattr("rtlab.realtime.intake.TURN_S", 3600.0)
    asyncio.get_running_loop().call_soon(others.append, 2)
    turn.begin()
    await turn.end()
    assert others == [1], "no turn for little work"


def test_who_is_counted_once_leaves_once():
    admission = Admission(None, None, lambda: 0.0)
    for _ in range(2):
        admission.wait("a", "192.0.2.1")
    assert len(admission) == 1
    admission.leave("a")
    admission.leave("a")
    assert len(admission) == 0
    assert not admission._by_address
