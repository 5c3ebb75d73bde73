"""Whose line it was: the learner's, the grader's or a library's."""

import asyncio
import sys
from pathlib import Path

import pytest

from rtlab.grading.child.loading import load_module
from rtlab.grading.code_origin import LONGEST, CodeOrigin, shorten

SUBMISSION = """
import asyncio, json, threading

def fails():
    return json.loads("no json")

def raises():
    raise KeyError("item")

def takes_one(a):
    return a

class Handler:
    def handle(self, a):
        return a

async def waits(event):
    await event.wait()

async def waits_in_a_task(event):
    await asyncio.create_task(waits(event))

def works(event):
    event.wait()
"""


@pytest.fixture
def origin(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / "mine.py"
    path.write_text(SUBMISSION)
    grader = folder / "test_mine.py"
    grader.write_text("")
    made = CodeOrigin(path, grader)
    made.module = load_module(path, path.read_bytes())
    yield made
    del sys.modules["mine"]


def caught(function, *arguments):
    with pytest.raises(Exception) as error:
        function(*arguments)
    return error.value


def test_files_of_the_folder_are_the_learners_but_not_the_grader_nor_packages(origin, tmp_path):
    assert origin.owns(str(tmp_path / "mine" / "helper.py"))
    assert origin.owns(str(tmp_path / "mine" / "sub" / ".." / "mine.py"))
    assert not origin.owns(str(tmp_path / "mine" / "test_mine.py"))
    assert not origin.owns(str(tmp_path / "mine" / ".venv" / "site-packages" / "x.py"))
    assert not origin.owns(str(tmp_path / "mine too" / "x.py"))
    assert not origin.owns("<string>")


def test_a_link_to_the_folder_is_the_folder(origin, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert origin.owns(str(tmp_path / "link" / "mine.py"))


def test_the_learners_innermost_line_of_a_traceback(origin):
    error = caught(origin.module.fails)
    assert origin.raised_at(error) == "mine.py, line 5"
    assert not origin.raised_by_itself(error), "json raised it"
    error = caught(origin.module.raises)
    assert (origin.raised_at(error), origin.raised_by_itself(error)) == ("mine.py, line 8", True)
    assert origin.raised_at(caught(int, "x")) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda module: module.takes_one(), "your function is called with other arguments than it takes"),
        (lambda module: module.Handler().handle(), "your function is called with other arguments than it takes"),
        (lambda module: module.takes_one(1) + "x", None),
        (lambda module: len(3), None),
    ],
)
def test_a_call_with_other_arguments_is_about_the_learners_function(origin, call, said):
    sentence = origin.misused(caught(call, origin.module))
    assert (sentence is None) if said is None else sentence.startswith(said)


def test_what_cannot_be_awaited(origin):
    async def awaits():
        await origin.module.takes_one(3)

    sentence = origin.misused(caught(asyncio.run, awaits()))
    assert sentence == "what your code gave is awaited, and it is of type int: is it an `async def`?"


async def test_where_a_suspended_coroutine_waits(origin):
    event = asyncio.Event()
    for function, line in ((origin.module.waits, 18), (origin.module.waits_in_a_task, 21)):
        task = asyncio.create_task(function(event))
        for _ in range(3):
            await asyncio.sleep(0)
        place = origin.awaits_at(task.get_coro())
        assert place.own
        assert place.words.startswith(f"mine.py, line {line} (`await ")
        task.cancel()


async def test_where_a_thread_of_theirs_is(origin):
    import threading

    event = threading.Event()
    thread = threading.Thread(target=origin.module.works, args=(event,))
    thread.start()
    try:
        assert origin.threads_left() == ["mine.py, line 24 (`event.wait()`)"]
        assert [place.words for place in origin.threads_at() if place.own] == ["mine.py, line 24 (`event.wait()`)"]
    finally:
        event.set()
        thread.join()
    assert origin.threads_left() == []


def test_a_line_in_words(origin):
    path = str(Path(origin.folder) / "mine.py")
    assert origin.line(path, 8) == "mine.py, line 8"
    assert origin.line(path, 8, show=True) == 'mine.py, line 8 (`raise KeyError("item")`)'
    assert origin.line(path, 800, show=True) == "mine.py, line 800"


def test_what_is_long_is_cut():
    assert shorten("x" * LONGEST) == "x" * LONGEST
    assert shorten("x" * (LONGEST + 1)) == "x" * LONGEST + "…"
