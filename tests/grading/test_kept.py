"""Where a submission's own state still holds a text."""

import asyncio
import types
from functools import partial

import pytest

from rtlab.grading.child.expectations import UnmetError
from rtlab.grading.child.loading import Submission
from rtlab.grading.kept import forgotten, held

SID = "rGkCnlD3pKzwbJ9mAAAB"


def module(source):
    made = types.ModuleType("submission")
    exec(source, vars(made))
    return made


def test_state_is_found_in_a_global_a_class_and_an_object():
    made = module(
        "people = {}\nclass Room:\n    shared = {}\n    def __init__(self):\n        self.own = {}\nroom = Room()\n"
    )
    assert held(made, SID) == ""
    for state, place in (
        (made.people, "`people`"),
        (made.Room.shared, "`Room.shared`"),
        (made.room.own, "`Room.own`"),
    ):
        state[SID] = "Ada"
        assert held(made, SID) == place
        state.clear()
        state["Ada"] = [(f"user:{SID}", 1)]
        assert held(made, SID) == place, "within a text, a tuple and a list"
        state.clear()


def test_what_functions_enclose_is_followed_from_the_handlers():
    made = module("def register():\n    seen = set()\n    def on(sid):\n        seen.add(sid)\n    return on")
    handler = made.register()
    handlers = {"join": partial(handler)}
    assert held(made, SID, handlers) == ""
    handler(SID)
    assert held(made, SID, handlers) == "`seen`"
    assert held(made, SID) == "", "the module alone does not lead there"


def test_a_check_gets_something_instead_of_the_module():
    made = module("people = {}\ndef register():\n    seen = set()\n    return seen.add")
    handler = made.register()
    submission = Submission(made, "chat.py")
    assert held(submission, SID, [handler]) == ""
    made.people[SID] = "Ada"
    assert held(submission, SID, [handler]) == "`people`"


def test_objects_of_others_are_not_followed():
    made = module("server = None")
    made.server = types.SimpleNamespace(sid=SID)
    assert held(made, SID) == ""


async def test_forgetting_may_take_a_moment():
    made = module("people = {}")
    made.people[SID] = "Ada"
    asyncio.get_running_loop().call_soon(made.people.clear)
    await forgotten(made, "the id", SID)


async def test_what_is_kept_is_said(monkeypatch):
    monkeypatch.setattr("rtlab.grading.kept.IN_TIME_S", 0)
    made = module("people = {}")
    made.people[SID] = "Ada"
    with pytest.raises(UnmetError, match=r"expected that no variable holds the id, but it is in `people`"):
        await forgotten(made, "the id", SID)
