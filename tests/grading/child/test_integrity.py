"""The tools of a check: what counts as replaced, and what does not."""

import asyncio
import time
from types import ModuleType

import pytest

from rtlab.grading.child.expectations import Expect
from rtlab.grading.child.integrity import Tools


@pytest.fixture
def tools():
    grader = ModuleType("test_some")
    grader.helper = lambda: 1
    made = Tools(grader)
    made.grader = grader
    return made


def test_nothing_is_replaced_at_first(tools):
    assert tools.replaced() == ""


def test_a_function_of_a_module(tools, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0)
    assert tools.replaced() == "time.monotonic"


def test_a_method_its_code_and_its_defaults(tools, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Expect, "that", lambda *_, **__: None)
        assert tools.replaced() == "rtlab.grading.child.expectations.Expect.that"
    with monkeypatch.context() as patch:
        patch.setattr(Expect.that, "__code__", (lambda self, claim, holds, *, but="": None).__code__)
        assert tools.replaced() == "rtlab.grading.child.expectations.Expect.that"
    with monkeypatch.context() as patch:
        patch.setattr(Expect.that, "__kwdefaults__", {"but": "no"})
        assert tools.replaced() == "rtlab.grading.child.expectations.Expect.that"
    assert tools.replaced() == ""


def test_a_function_of_the_grader(tools):
    tools.grader.helper = lambda: 2
    assert tools.replaced() == "test_some.helper"


def test_what_is_removed(tools):
    del tools.grader.helper
    assert tools.replaced() == "test_some.helper"


def test_a_method_that_an_instance_overshadows(tools):
    expect = Expect()
    tools.watch(expect)
    assert tools.replaced() == ""
    expect.that = lambda *_, **__: None
    assert tools.replaced() == "Expect.that"


def test_what_is_new_or_no_function_is_nobodys_concern(tools, monkeypatch):
    monkeypatch.setattr(asyncio, "new_name", lambda: 0, raising=False)
    monkeypatch.setattr(time, "altzone", 7)
    assert tools.replaced() == ""
