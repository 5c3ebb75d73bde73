"""`expect`: what is met, and the sentence about what is not."""

import asyncio
import math
from collections import defaultdict
from http import HTTPStatus

import pytest

from rtlab.grading.child.expectations import Expect, UnmetError


class Hostile:
    def __eq__(self, other):
        raise ValueError("no")

    __hash__ = None

    def __repr__(self):
        raise ValueError("no")


@pytest.fixture
def expect():
    return Expect()


@pytest.mark.parametrize(
    ("got", "expectation"),
    [
        ("pong", {"equals": "pong"}),
        (None, {"equals": None}),
        (1, {"equals": 1.0}),
        (True, {"equals": True}),
        (1001, {"one_of": (1000, 1001)}),
        (0.5, {"within": (0, 1)}),
        (1, {"within": (1, 1)}),
        (["a", "b"], {"contains": "b"}),
        ({"a": 1}, {"contains": "a"}),
        (b"x", {"is_a": bytes}),
    ],
)
def test_what_is_met_is_given_back_and_counted(expect, got, expectation):
    assert expect("it", got, **expectation) == got
    assert expect.observations.count == 1
    assert expect.observations.unmet == []


@pytest.mark.parametrize(
    ("got", "expectation", "sentence"),
    [
        ("PING", {"equals": "pong"}, "expected it to be 'pong'; got 'PING'"),
        (True, {"equals": 1}, "expected it to be 1 (number); got True (bool)"),
        (0, {"equals": False}, "expected it to be False (bool); got 0 (number)"),
        (None, {"equals": 0}, "expected it to be 0; got None"),
        (1006, {"one_of": (1000, 1001)}, "expected it to be one of 1000, 1001; got 1006"),
        (True, {"one_of": (0, 1)}, "expected it to be one of 0, 1; got True"),
        (1.4, {"within": (0, 1)}, "expected it to be between 0 and 1; got 1.4"),
        (math.nan, {"within": (0, 1)}, "expected it to be between 0 and 1; got nan"),
        ("0.5", {"within": (0, 1)}, "expected it to be between 0 and 1; got '0.5'"),
        ([], {"contains": "b"}, "expected it to contain 'b'; got []"),
        (None, {"contains": "b"}, "expected it to contain 'b'; got None"),
        (3, {"is_a": str}, "expected it to be of type str; got 3"),
        (Hostile(), {"equals": 3}, "expected it to be 3; got a Hostile whose repr raises"),
        ("x" * 1000, {"equals": ""}, "expected it to be ''; got '" + "x" * 199 + "…"),
    ],
)
def test_what_is_not_met_is_said_in_one_sentence(expect, got, expectation, sentence):
    with pytest.raises(UnmetError) as caught:
        expect("it", got, **expectation)
    assert str(caught.value) == sentence
    assert expect.observations.unmet == [sentence]


class SaysYes(str):
    """Lies about everything that a comparison could ask."""

    def __eq__(self, other):
        return True

    def __ge__(self, other):
        return True

    __le__ = __contains__ = __ge__
    __hash__ = str.__hash__


class AnyNumber(int):
    __eq__ = __le__ = __ge__ = lambda self, other: True
    __hash__ = int.__hash__


class Pretends:
    __class__ = dict
    __eq__ = lambda self, other: True  # noqa: E731
    __hash__ = lambda self: hash("a")  # noqa: E731


@pytest.mark.parametrize(
    ("got", "expectation"),
    [
        (SaysYes("x"), {"equals": "pong"}),
        (SaysYes("x"), {"one_of": ("pong", "ping")}),
        (SaysYes("x"), {"contains": "pong"}),
        (AnyNumber(9), {"equals": 3}),
        (AnyNumber(9), {"within": (1, 3)}),
        ([AnyNumber(9)], {"contains": 3}),
        (Pretends(), {"equals": {}}),
        (Pretends(), {"equals": None}),
        (Pretends(), {"is_a": dict}),
        ({"id": Pretends()}, {"equals": {"id": 3}}),
        ({Pretends(): 1}, {"equals": {"a": 1}}),
        ({Pretends()}, {"equals": {"a"}}),
        ([True, 1], {"equals": [1, 1]}),
        ({True: 1}, {"equals": {1: 1}}),
        ((1, 2), {"equals": [1, 2]}),
        (b"x", {"equals": "x"}),
    ],
)
def test_what_lies_about_itself_or_is_of_another_type_is_not_met(expect, got, expectation):
    with pytest.raises(UnmetError):
        expect("it", got, **expectation)


class Subclass(str):
    """Derives from text, and does not lie."""


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        (Subclass("x"), "x"),
        (HTTPStatus.BAD_REQUEST, 400),
        (bytearray(b"x"), b"x"),
        (defaultdict(list, a=[1]), {"a": [1.0]}),
        ({"a": 1}.keys(), {"a"}),
        ({"a", 1}, frozenset({1.0, "a"})),
    ],
)
def test_what_derives_from_a_type_and_is_honest_is_met(expect, got, wanted):
    expect("it", got, equals=wanted)


@pytest.mark.parametrize("expectation", [{}, {"equals": 1, "is_a": int}, {"one_of": [1], "within": (0, 1)}])
def test_there_is_exactly_one_expectation(expect, expectation):
    with pytest.raises(TypeError, match="exactly one"):
        expect("it", 1, **expectation)
    assert expect.observations.count == 0


def test_a_claim(expect):
    expect.that("the connection is open", 1)
    with pytest.raises(UnmetError, match=r"^expected that the connection is open, but it was closed$"):
        expect.that("the connection is open", [], but="it was closed")


class ProtocolError(Exception):
    code = 1002


def test_a_block_that_has_to_raise(expect):
    with expect.raises("an unmasked frame", ProtocolError, code=1002) as caught:
        raise ProtocolError
    assert isinstance(caught.error, ProtocolError)
    assert expect.observations.count > 0


@pytest.mark.parametrize(
    ("error", "attributes", "sentence"),
    [
        (None, {}, "expected an unmasked frame to raise ProtocolError; nothing was raised"),
        (KeyError("x"), {}, "expected an unmasked frame to raise ProtocolError; it raised KeyError: 'x'"),
        (ProtocolError(), {"code": 1007}, "expected an unmasked frame to raise ProtocolError with code=1007; got 1002"),
    ],
)
def test_a_block_that_does_not(expect, error, attributes, sentence):
    def block():
        with expect.raises("an unmasked frame", ProtocolError, **attributes):
            if error:
                raise error

    with pytest.raises(UnmetError) as caught:
        block()
    assert str(caught.value) == sentence


def test_what_is_not_written_yet_passes_through(expect):
    with pytest.raises(NotImplementedError), expect.raises("an unmasked frame", Exception):
        raise NotImplementedError


async def test_something_arrives(expect):
    assert await expect.arrives("an answer", asyncio.sleep(0, "yes"), within_s=5) == "yes"
    assert expect.observations.count == 1


async def test_nothing_arrives(expect):
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(UnmetError, match=r"^expected an answer; nothing came within 0\.01 s$"):
        await expect.arrives("an answer", never, within_s=0.01)
    assert never.cancelled()


async def test_nothing_arrives_and_somebody_knows_why(expect):
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(UnmetError, match=r"^expected an answer; nothing came within 0\.01 s; nobody listens$"):
        await expect.arrives("an answer", never, within_s=0.01, why=lambda: "nobody listens")


async def test_something_else_arrives(expect):
    async def fail():
        raise ConnectionError("closed")

    with pytest.raises(UnmetError, match=r"^expected an answer; instead came ConnectionError: closed$"):
        await expect.arrives("an answer", fail(), within_s=5)
    expect.observations.is_the_learners = lambda error: isinstance(error, ConnectionError)
    with pytest.raises(ConnectionError):
        await expect.arrives("an answer", fail(), within_s=5)
