"""What came out of a round, as people see it."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from rtlab.instruments.checking.checker import check
from rtlab.instruments.checking.recorder import HistoryRecorder
from rtlab.instruments.soaking.outcome import SoakOutcome
from rtlab.instruments.soaking.plan import SoakPlan


def outcome(**changes):
    recorder = HistoryRecorder(100)
    for name in ("ann", "ben"):
        recorder.joining(name, "harbour")
        recorder.joined(name, "harbour", None, "1-0", True, False)
    recorder.sent("ann", "harbour", "ann:1")
    recorder.acknowledged("ann", "harbour", "ann:1", "2-0")
    for name in ("ann", "ben"):
        recorder.received(name, "harbour", "ann:1", "2-0", True)
        recorder.settled(name, "harbour", "2-0")
    plan = SoakPlan(messages=24)
    made = SoakOutcome(
        plan=plan,
        schedule=plan.schedule,
        faults={"worker_killed": 2},
        history=recorder.history,
        verdict=check(recorder.history),
        problems=(),
        notes=(),
        counts={"acknowledged": 1_000, "written": 1_001},
        seconds=3.2,
        pause=0.55,
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "result", "status"),
    [
        ({}, "pass", 0),
        ({"problems": ("ann lost her way",)}, "fail", 1),
        ({"notes": ("a fault went wrong",)}, "pass", 0),
        ({"verdict": check(HistoryRecorder(100).history)}, "unknown", 3),
        ({"verdict": check(HistoryRecorder(100).history), "problems": ("ann lost her way",)}, "fail", 1),
    ],
)
def test_the_result(changes, result, status):
    made = outcome(**changes)
    assert (made.result, made.exit_status) == (result, status)
    assert str(made).startswith(f"{result}: seed 1, 1,001 messages, 5 clients, 3 workers, replica, 2 faults, 3 s; ")
    for said in ("worker_killed", "1,000", "0.6 s", *made.problems, *made.notes):
        assert said in str(made)


@pytest.mark.parametrize("terminal", [True, False])
def test_on_a_terminal(terminal):
    out = io.StringIO()
    made = outcome(problems=("[red]ann[/red] lost her way",))
    Console(file=out, force_terminal=terminal, width=200, no_color=not terminal).print(made)
    assert ("\x1b" in out.getvalue()) is terminal
    for said in ("worker_killed", "1,000", "[red]ann[/red] lost her way"):
        assert said in out.getvalue()


def test_nothing_happened():
    assert "faults: none" in str(outcome(faults={}))
