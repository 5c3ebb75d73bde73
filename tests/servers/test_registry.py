"""What is open, who opened it, and who replaces it."""

import asyncio

import pytest

import rtlab
from rtlab.servers import registry


class Thing:
    """A resource that only remembers whether it runs."""

    def __init__(self, name):
        self.name = name
        self.running = True

    async def stop(self):
        self.running = False
        registry.forget(self)

    def __repr__(self):
        return f"<Thing {self.name}, {'running' if self.running else 'stopped'}>"


async def open_thing(name, key=None):
    async with registry.opening(key) as register:
        thing = Thing(name)
        register(thing)
    return thing


@pytest.fixture
def cell(monkeypatch):
    """Pretends to be a kernel that runs a cell: `cell(source, run, cell_id)`."""
    requests = {}

    class Kernel:
        def get_parent(self, _):
            return requests

    class Shell:
        kernel = Kernel()

    class IPython:
        @staticmethod
        def get_ipython():
            return Shell()

    monkeypatch.setitem(registry.sys.modules, "IPython", IPython)

    def pretend(source, run, cell_id=None):
        requests.update(
            content={"code": source}, header={"msg_id": run}, metadata={"cellId": cell_id} if cell_id else {}
        )

    return pretend


async def test_outside_a_notebook_nothing_is_replaced(capsys):
    first, second = await open_thing("first"), await open_thing("second")
    assert rtlab.resources() == (first, second)
    assert repr(rtlab.resources()) == "<Thing first, running>\n<Thing second, running>"
    await rtlab.resources().stop()
    assert not first.running
    assert not second.running
    assert repr(rtlab.resources()) == "nothing is open"
    assert capsys.readouterr().out == ""


async def test_a_name_replaces(capsys):
    first = await open_thing("first", key="chat")
    second = await open_thing("second", key="chat")
    assert not first.running
    assert rtlab.resources() == (second,)
    assert capsys.readouterr().out == "Stopped <Thing first, running>, started under the name 'chat'.\n"
    await second.stop()


async def test_a_second_run_of_a_cell_replaces_all_of_the_first(cell, capsys):
    cell("two things", run="1")
    first, second = await open_thing("first"), await open_thing("second")
    cell("another cell", run="2")
    other = await open_thing("other")
    cell("two things  \n", run="3")
    third = await open_thing("third")
    assert not first.running
    assert not second.running
    assert rtlab.resources() == (other, third)
    assert capsys.readouterr().out.splitlines() == [
        "Stopped <Thing first, running>, started by an earlier run of this cell.",
        "Stopped <Thing second, running>, started by an earlier run of this cell.",
    ]
    await rtlab.resources().stop()


async def test_a_cell_id_counts_more_than_the_source(cell):
    cell("a = start(1)", run="1", cell_id="abc")
    first = await open_thing("first")
    cell("a = start(2)", run="2", cell_id="abc")
    second = await open_thing("second")
    cell("a = start(2)", run="3", cell_id="def")
    third = await open_thing("third")
    assert not first.running
    assert rtlab.resources() == (second, third)
    await rtlab.resources().stop()


def test_what_a_dead_loop_left_is_forgotten(capsys):
    left = asyncio.run(open_thing("left", key="chat"))
    assert rtlab.resources() == (left,)

    async def again():
        thing = await open_thing("again", key="chat")
        assert rtlab.resources() == (thing,)
        await thing.stop()

    asyncio.run(again())
    assert rtlab.resources() == ()
    assert capsys.readouterr().out == ""


async def test_the_ticker_runs_while_something_is_open():
    def tickers():
        return [task for task in asyncio.all_tasks() if task.get_name() == "rtlab ticker" and not task.cancelling()]

    assert tickers() == []
    first = await open_thing("first")
    second = await open_thing("second")
    assert len(tickers()) == 1
    await first.stop()
    assert len(tickers()) == 1
    await second.stop()
    assert tickers() == []
    async with registry.opening():
        assert len(tickers()) == 1, "the interrupt button is quick during the start too"
    assert tickers() == []
