"""Each event is answered, whatever a client sends: checked on our server, on a plain one, and with MessagePack."""

import asyncio
import datetime as dt
import logging
import textwrap

import pytest
import socketio
from deadlines import WAIT_S

import rtlab
from rtlab.errors import UsageError
from rtlab.realtime import Server
from rtlab.realtime.validation import (
    AckError,
    Rule,
    binary,
    boolean,
    checked,
    listed,
    number,
    one_of,
    optional,
    string,
    unknown_event,
)
from rtlab.servers.repeats import LINES


def nested(depth: int) -> list:
    """A list in a list in a list …"""
    deep = []
    for _ in range(depth):
        deep = [deep]
    return deep


DEEP = nested(40)

HOLDS = {
    "string": (string(3), ["a", "äöü", "😀😀😀"], ["", "abcd", 1, None, b"a", ["a"], "\ud83d", "a\udc00"]),
    "string of none": (string(3, 0), [""], [None]),
    "number": (number(1, 50), [1, 50], [0, 51, True, False, 1.0, "1", None, float("nan"), 10**400, [1]]),
    "boolean": (boolean(), [True, False], [0, 1, "true", None, [], {}]),
    "binary": (binary(2), [b"a", b"ab"], [b"", b"abc", "a", [1]]),
    "one_of": (one_of("red", "green"), ["red"], ["blue", "re", None, ["red"], 1]),
    "listed": (listed(number(1, 3), 2, 1), [[1], [1, 3]], [[], [1, 2, 3], [True], [4], "12", (1,), {"1": 1}, DEEP]),
    "optional": (optional(string(3), "x"), ["a"], [None, 1, ""]),
}


@pytest.mark.parametrize(("rule", "right", "wrong"), HOLDS.values(), ids=HOLDS)
def test_what_a_rule_takes(rule, right, wrong):
    assert [value for value in right if not rule.holds(value)] == []
    assert [value for value in wrong if rule.holds(value)] == []


def on_plain() -> socketio.AsyncServer:
    return socketio.AsyncServer(async_mode="aiohttp", logger=False, engineio_logger=False)


KINDS = {"ours": Server, "ours, MessagePack": lambda: Server(serializer="msgpack"), "plain": on_plain}


@pytest.fixture(params=KINDS)
async def asked(request):
    """Asks a server with a few handlers; gives the acknowledgement."""
    sio, done = KINDS[request.param](), []

    @sio.event
    @checked(room=string(32), count=number(1, 50), tags=optional(listed(string(5), 3), []))
    async def save(sid, room, count, tags):
        tags.append("seen")
        done.append((room, count, tags))
        return {"status": "ok", "id": len(done)}

    @sio.event
    @checked()
    def ping(sid):
        done.append("ping")

    @sio.event
    @checked(what=string(20))
    async def fail(sid, what):
        if what == "refused":
            raise AckError("full", "expected a room with a free place")
        if what == "nan":
            return {"value": float("nan")}
        if what == "moment":
            return dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
        if what == "bytes":
            return {"status": "ok", "data": b"\x01"}
        raise RuntimeError("a secret of ours")

    @sio.event
    @checked(number=Rule("a number over 3", lambda value: value > 3))
    async def careless(sid, number):
        return number

    sio.on("*", unknown_event)
    serializer = "msgpack" if "MessagePack" in request.param else "default"
    async with rtlab.serve(sio) as server, asyncio.timeout(WAIT_S):
        client = socketio.AsyncClient(serializer=serializer, handle_sigint=False)
        await client.connect(server.url, transports=["websocket"])

        async def ask(event, data=None):
            return await client.call(event, data, timeout=WAIT_S)

        ask.done = done
        yield ask
        await client.disconnect()


WRONG = {
    "nothing": (None, "payload: expected one object, got nothing"),
    "a text": ("hello", "payload: expected one object, got str"),
    "a list": ([1], "payload: expected one object, got list"),
    "two arguments": (({"room": "a", "count": 1}, "b"), "payload: expected one object, got dict, str"),
    "many arguments": (tuple(range(9)), "payload: expected one object, got int, int, int, …"),
    "an empty object": ({}, "room: expected a string of 1 to 32 characters of Unicode, got nothing"),
    "a field is missing": ({"room": "a"}, "count: expected a whole number from 1 to 50, got nothing"),
    "a field is null": (
        {"room": None, "count": 1},
        "room: expected a string of 1 to 32 characters of Unicode, got None",
    ),
    "True": ({"room": "a", "count": True}, "count: expected a whole number from 1 to 50, got True"),
    "a fraction": ({"room": "a", "count": 1.5}, "count: expected a whole number from 1 to 50, got 1.5"),
    "an optional field is wrong": ({"room": "a", "count": 1, "tags": None}, "tags: expected a list of 0 to 3, each"),
    "bytes": ({"room": b"a", "count": 1}, "room: expected a string of 1 to 32 characters of Unicode, got b'a'"),
    "a megabyte": (
        {"room": "x" * 500_000, "count": 1},
        "room: expected a string of 1 to 32 characters of Unicode, got 'xxx",
    ),
    "deep": ({"room": DEEP, "count": 1}, "room: expected a string of 1 to 32 characters of Unicode, got [[[[...]]]]"),
}


@pytest.mark.parametrize(("data", "said"), WRONG.values(), ids=WRONG)
async def test_what_does_not_fit_is_answered_and_harms_nothing(asked, data, said):
    answer = await asked("save", data)
    assert (answer["status"], answer["code"]) == ("error", "invalid")
    assert answer["message"].startswith(said)
    assert len(answer["message"]) < 200
    assert asked.done == []
    assert await asked("save", {"room": "a", "count": 1, "more": "is passed over"}) == {"status": "ok", "id": 1}
    assert await asked("save", {"room": "b", "count": 50, "tags": ["x"]}) == {"status": "ok", "id": 2}
    assert await asked("save", {"room": "c", "count": 2}) == {"status": "ok", "id": 3}
    assert asked.done == [("a", 1, ["seen"]), ("b", 50, ["x", "seen"]), ("c", 2, ["seen"])], "a default is no one's"


async def test_a_handler_that_returns_nothing_is_answered(asked):
    for data in (None, {}, {"more": 1}):
        assert await asked("ping", data) == {"status": "ok"}
    assert (await asked("ping", "text"))["code"] == "invalid"
    assert asked.done == ["ping"] * 3


async def test_a_handler_that_refuses_or_fails(asked, caplog):
    full = {"status": "error", "code": "full", "message": "expected a room with a free place"}
    assert await asked("fail", {"what": "refused"}) == full
    assert caplog.records == []
    for what in ("raises", "nan", "moment"):
        answer = await asked("fail", {"what": what})
        assert (answer["code"], "secret" in str(answer)) == ("internal", False)
    assert (await asked("careless", {"number": "text"}))["code"] == "internal"
    failed = [each for each in caplog.records if "failed; its client was answered" in each.getMessage()]
    assert [each.levelno for each in failed] == [logging.ERROR] * 4
    assert "a secret of ours" in str(failed[0].exc_info[1])
    assert await asked("fail", {"what": "bytes"}) == {"status": "ok", "data": b"\x01"}
    assert await asked("careless", {"number": 4}) == 4


async def test_a_failure_that_repeats_is_summed_up(asked, caplog):
    for _ in range(LINES + 3):
        await asked("fail", {"what": "raises"})
    assert len([each for each in caplog.records if "failed" in each.getMessage()]) == LINES


async def test_an_unknown_event_is_answered(asked):
    for event in ("sav", "x" * 10_000):
        answer = await asked(event, {"room": "a"})
        assert answer["code"] == "unknown_event"
        assert len(answer["message"]) < 100


async def test_surrogates_long_numbers_and_deep_lists_are_answered():
    @checked(text=string(5))
    async def save(sid, text):
        raise AssertionError("not called")

    answer = await save("a", {"text": "\ud83d"})
    assert answer["message"] == "text: expected a string of 1 to 5 characters of Unicode, got '\\ud83d'"
    for value in (10**5000, nested(100_000), {"a": nested(100_000)}):
        answer = await save("a", {"text": value})
        assert (answer["code"], answer["message"].isascii(), len(answer["message"]) < 150) == ("invalid", True, True)
    assert (await unknown_event("\ud83d", "a"))["message"].isascii()


async def test_methods_and_catch_all_handlers():
    class Lobby(socketio.AsyncNamespace):
        @checked(name=string(5))
        async def on_hello(self, sid, name):
            return [type(self).__name__, sid, name]

    @checked(name=string(5))
    async def anything(event, sid, name):
        return [event, sid, name]

    assert await Lobby("/").on_hello("a", {"name": "Ann"}) == ["Lobby", "a", "Ann"]
    assert await anything("hello", "a", {"name": "Ann"}) == ["hello", "a", "Ann"]


async def misspelt(sid, txt):
    """A handler."""


async def without_sid(text):
    """A handler."""


async def by_place_only(sid, text, /):
    """A handler."""


async def any_number(sid, *text):
    """A handler."""


async def in_another_order(text, sid):
    """A handler."""


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (misspelt, r"misspelt does not take text: expected misspelt\(sid, text\)"),
        (without_sid, r"without_sid\(text\): expected without_sid\(sid, text\)"),
        (by_place_only, r"by_place_only\(sid, text, /\): expected by_place_only\(sid, text\)"),
        (any_number, r"any_number\(sid, \*text\): expected any_number\(sid, text\)"),
        (in_another_order, r"expected in_another_order\(sid, text\)"),
        (None, "Expected a handler below @checked"),
        (socketio.AsyncNamespace, "Expected a handler below @checked"),
    ],
)
def test_a_handler_that_does_not_fit_is_named_at_once(handler, said):
    with pytest.raises(UsageError, match=said):
        checked(text=string(5))(handler)


def test_what_is_no_rule():
    with pytest.raises(UsageError, match=r"checked\(text=<class 'str'>\): expected a rule, like string\(32\)"):
        checked(text=str)
    with pytest.raises(UsageError, match=r"expected a rule.*Call it: string\(…\)"):
        checked(text=string)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: string("5"), r"string\(…\): expected whole numbers that are not negative as bounds, got '5'"),
        (lambda: string(-1), "got -1"),
        (lambda: string(True), "got True"),
        (lambda: string(5, 10), r"string\(…\): nothing is at least 10 and at most 5"),
        (lambda: binary(0), "nothing is at least 1 and at most 0"),
        (lambda: number(50, 1), "nothing is at least 50 and at most 1"),
        (lambda: number(0.5, 2), "got 0.5"),
        (lambda: listed(string(5), None), "got None"),
        (lambda: listed(string, 5), r"listed\(.*Call it: string\(…\)"),
        (lambda: optional(number), r"optional\(.*Call it: number\(…\)"),
        (lambda: one_of(["red", "green"]), r"one_of\(\['red', 'green'\]\): expected strings, one by one"),
        (lambda: one_of(), "one by one"),
        (lambda: one_of(1, 2), "one by one"),
        (lambda: checked(string(5)), r"by the names of their fields: @checked\(text=string\(500\)\)"),
        (lambda: checked(misspelt), "by the names of their fields"),
    ],
)
def test_a_rule_that_nothing_keeps_to_is_refused_where_it_is_made(make, said):
    with pytest.raises(UsageError, match=said):
        make()


def test_bounds_may_be_equal_and_numbers_negative():
    assert string(0, 0).holds("")
    assert number(-5, -5).holds(-5)
    assert listed(string(1), 0).holds([])


async def test_the_app_in_the_docstring_of_the_package():
    code = textwrap.dedent(rtlab.realtime.__doc__.partition("::\n")[2].partition("    async def main")[0])
    app = {}
    exec(code, app)
    async with rtlab.serve(app["sio"]) as server, asyncio.timeout(WAIT_S):
        client = socketio.AsyncClient(handle_sigint=False)
        await client.connect(server.url, transports=["websocket"])
        said = {"room": "python", "text": "hello"}
        assert (await client.call("message", said))["code"] == "not_a_member"
        assert await client.call("join", {"room": "python"}) == {"status": "ok"}
        assert await client.call("message", said) == {"status": "ok"}
        assert (await client.call("massage", said))["code"] == "unknown_event"
        await client.disconnect()
