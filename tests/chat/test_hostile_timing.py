"""Clients that come and go at any moment, and handlers that take their time: no ghosts, and nobody else waits."""

import asyncio
import itertools

import pytest
from chat.hostile import honest
from chat.serving import BOTH, chatting, cut, fresh, token
from deadlines import SCALE, WAIT_S
from eventually import until

from rtlab.chat import Limits
from rtlab.chat.stores.memory import MemorySessions

# Coming and going


@pytest.mark.parametrize(
    "times", [pytest.param(10), pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
async def test_coming_and_going_leaves_a_true_picture(times):
    """Users with several tabs come and go in every way at once; whoever watches can follow by events alone."""
    async with chatting() as place:
        watching = await place.enter(transports=["websocket"])
        await watching.join("hall")
        names = [fresh("commuter") for _ in range(3)]
        seen = itertools.count()

        async def commute(name):
            for _ in range(times):
                number = next(seen)
                person = await place.enter(name, transports=["websocket"], namespaces=BOTH[: 1 + number % 2])
                await person.sio.emit("chat:join", "hall")
                if number % 3:
                    await person.next("chat:history")
                match number % 4:
                    case 0:
                        cut(person.sio)
                    case 1:
                        await person.sio.eio.send("1")  # out of "/", and still connected
                    case 2:
                        await person.ask("chat:leave", "hall")
                place.people.remove(person)
                await person.close()

        await asyncio.gather(*(commute(name) for name in names for _ in range(2)))
        await until(lambda: len(place.chat._connections) == 1)
        assert (await watching.join("hall"))["members"] == [watching.name]
        moves = [each for each in watching.heard if each[1] in {"chat:userJoined", "chat:userLeft"}]
        assert len(moves) > len(names)
        for name in names:
            own = [event for _, event, data in moves if data["username"] == name]
            assert own == ["chat:userJoined", "chat:userLeft"] * (len(own) // 2)


async def test_who_comes_and_goes_in_a_hurry_makes_nobody_elses_session_forgotten():
    sessions = MemorySessions(limit=100)
    async with chatting(sessions=sessions, limits=Limits(burst=1000)) as place:
        alice, mallory = await place.enter(transports=["websocket"]), await place.enter(transports=["websocket"])
        await alice.join("hall")
        session = (await alice.next("session"))["id"]
        await mallory.next("session")
        await place.dismiss_one(alice)
        for _ in range(300):
            await mallory.sio.eio.send("1")
            await mallory.sio.eio.send(f'0{{"token":"{token(mallory.name)}"}}')
            await mallory.next("session")
        back = await place.enter(alice.name, transports=["websocket"])
        assert (await back.ask("session:restore", session))["rooms"] == ["hall"]
        assert len(sessions._kept) == sum(map(len, sessions._of.values())) <= 52


# Handlers that take their time


class Gate:
    """A `may_join` that waits in one room."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, user, room):
        if room == "slow":
            self.asked.set()
            await self.open.wait()
        return True


async def wait_for(event):
    async with asyncio.timeout(WAIT_S):
        await event.wait()


@pytest.mark.parametrize("end", ["cut", "leave", "token", "stay"])
async def test_a_handler_that_waits_delays_nobody_else_and_leaves_no_ghost(end):
    gate = Gate()
    async with chatting(may_join=gate) as place, honest(place, 0.01):
        name = fresh("patient")
        tab = await place.enter(name, transports=["websocket"])
        watching = await place.enter(transports=["websocket"])
        await watching.join("hall")
        auth = {"token": token(name, expires_s=4 * SCALE if end == "token" else 600)}
        patient = await place.enter(name, transports=["websocket"], auth=auth)
        await patient.join("hall")
        await patient.sio.emit("chat:join", "slow")
        await wait_for(gate.asked)
        assert (await tab.join("hall"))["members"] == sorted([name, watching.name])
        await tab.say("hall", "not delayed, on another connection")
        assert (await watching.next("chat:message"))["username"] == name
        if end != "token":  # which may have ended by now
            assert (await patient.next("chat:message"))["username"] == name, "it hears, though it is not heard"
        await place.dismiss_one(tab)
        if end == "cut":
            cut(patient.sio)
            await patient.next("disconnect")
        elif end == "leave":
            await patient.sio.eio.send("1")
        elif end == "token":
            await patient.next("disconnect")
            assert (await watching.next("chat:userLeft"))["username"] == name, "at once, though its handler waits"
        gate.open.set()
        if end == "stay":
            assert (await patient.next("chat:history")) == []
            assert place.chat._events.rooms.chat.members("slow") == [name]
        else:
            if end != "token":
                assert (await watching.next("chat:userLeft"))["username"] == name
            await until(lambda: place.chat._events.rooms.chat.is_empty("slow"))
        there = [watching.name, name] if end == "stay" else [watching.name]
        assert (await watching.join("slow"))["members"] == sorted(there)
