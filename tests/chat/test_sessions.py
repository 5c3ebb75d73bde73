"""Sessions in memory: whose they are, how long they live, how many there are."""

import gc
import tracemalloc

from rtlab.chat.limits import NAME_LENGTH, Limits
from rtlab.chat.stores.memory import SESSION_BYTES, SESSIONS, SESSIONS_OF_ONE, MemorySessions
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


async def test_the_memory_of_all_sessions_is_bounded_in_bytes():
    """A tenth of the bound, filled with the largest sessions that there are: of four-byte characters only."""
    limits, each = Limits(), "\U0001f388"
    rooms = [
        frozenset(f"{kind}{n:03}" + each * (limits.room_name - 4) for n in range(limits.rooms_per_connection))
        for kind in "cp"
    ]
    gc.collect()
    tracemalloc.start()
    sessions = MemorySessions(max_bytes=SESSION_BYTES // 10)
    for number in range(SESSIONS // 10):
        user = f"{number // SESSIONS_OF_ONE:04}" + each * (NAME_LENGTH - 4)
        await sessions.save(user, f"{number:032}", Saved(*rooms))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(
        f"{taken * 10 / 1e6:.0f} MB for {len(sessions._kept) * 10:,} sessions, counted {sessions._size * 10 / 1e6:.0f}"
    )
    assert taken <= sessions._size <= SESSION_BYTES // 10
    assert await sessions.restore(user, f"{number:032}") == Saved(*rooms)


async def test_small_sessions_are_bounded_in_bytes_too():
    gc.collect()
    tracemalloc.start()
    sessions = MemorySessions(limit=1000)
    for number in range(2000):
        await sessions.save(f"{number:032}", f"{number:032}", Saved())
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sessions._kept) == 1000
    assert taken <= sessions._size
    for _ in range(3):
        await sessions.save("alice", "s", ROOMS)
    assert sessions._size == sum(len(packed) + 1000 for _, packed in sessions._kept.values())
