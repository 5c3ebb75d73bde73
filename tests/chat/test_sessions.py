"""Sessions in memory: whose they are, how long they live, how many there are."""

from rtlab.chat.stores.memory import MemorySessions
from rtlab.chat.stores.protocols import Saved

ROOMS = Saved(frozenset({"lobby"}), frozenset({"desk"}))


class Clock:
    """Seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_ones_own_and_nobody_elses():
    sessions = MemorySessions()
    await sessions.save("alice", "s1", ROOMS)
    assert await sessions.restore("alice", "s1") == ROOMS
    assert await sessions.restore("bob", "s1") is None
    assert await sessions.restore("alice", "s2") is None
    assert await sessions.restore("alice", "s1") == ROOMS, "it can be restored again"


async def test_it_lives_from_the_last_save():
    clock = Clock()
    sessions = MemorySessions(life_s=300, clock=clock)
    await sessions.save("alice", "s1", Saved())
    clock.now = 299
    await sessions.save("alice", "s1", ROOMS)
    clock.now = 598
    assert await sessions.restore("alice", "s1") == ROOMS
    clock.now = 599
    assert await sessions.restore("alice", "s1") is None


async def test_the_oldest_is_forgotten_first_and_the_dead_are_swept():
    clock = Clock()
    sessions = MemorySessions(life_s=300, limit=2, clock=clock)
    for number in range(3):
        await sessions.save("alice", f"s{number}", ROOMS)
    assert [await sessions.restore("alice", f"s{number}") for number in range(3)] == [None, ROOMS, ROOMS]
    clock.now = 400
    await sessions.save("alice", "s9", ROOMS)
    assert len(sessions._kept) == 1
