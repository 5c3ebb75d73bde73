"""The process that imports a grader once: what it spares, and what it must not change."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import WAIT_S
from eventually import eventually
from quick import quick

from rtlab.grading.exercise_run import ProcessLimits
from rtlab.grading.results import Verdict

pytestmark = [pytest.mark.usefixtures("leaves_no_process"), pytest.mark.skipif(sys.platform != "linux", reason="forks")]

ROOT = Path(__file__).parents[2]
IMPORTS = "import os, random, sys\n\nIMPORTED_IN = os.getpid()\n\n"
THREAD = "import threading\n\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n\n"
"""After this a grader's process cannot be forked, which is how it is with every grader on macOS."""
TWO = "".join(
    f"@check(points=1, hints=('a', 'b'))\ndef test_{name}(submission):\n"
    f"    expect('the answer', submission.{name}(), equals=42)\n\n"
    for name in ("first", "second")
)
BEFORE = {"forked": "", "by_itself": THREAD}
EITHER = pytest.mark.parametrize("before", BEFORE)
FORKED_FIRST = pytest.mark.parametrize("before", quick(BEFORE, ["forked"]))


def verdicts(results):
    return [result.verdict for result in results]


def test_the_grader_is_imported_once_and_runs_nothing(grade_tiny):
    grader = IMPORTS + TWO.replace("submission.", "os.getppid() == IMPORTED_IN != os.getpid() and submission.")
    submission = "def first():\n    return 42\nsecond = first\n"
    assert verdicts(grade_tiny(grader, submission, every=True)) == [Verdict.PASSED] * 2


def test_a_process_with_threads_is_not_forked(grade_tiny):
    grader = IMPORTS + THREAD + TWO.replace("submission.", "IMPORTED_IN == os.getpid() and submission.")
    submission = "def first():\n    return 42\nsecond = first\n"
    assert verdicts(grade_tiny(grader, submission, every=True)) == [Verdict.PASSED] * 2


@EITHER
def test_nothing_is_there_for_the_next_check(grade_tiny, before):
    grader = IMPORTS + BEFORE[before] + "LIST = []\n\n" + TWO.replace("submission.first()", "submission.first(LIST)")
    grader = grader.replace("submission.second()", "submission.second(LIST)")
    submission = (
        "import json, os, socket, sys\n"
        "def first(shared):\n"
        "    shared.append(1)\n    os.environ['LEAK'] = json.leak = '1'\n    sys.path.append('/leak')\n"
        "    open('leak', 'w').close()\n    os.umask(0o77)\n    print('leak')\n    return 42\n"
        "def second(shared):\n"
        "    assert not shared and 'LEAK' not in os.environ and not hasattr(json, 'leak')\n"
        "    assert '/leak' not in sys.path and not os.path.exists('leak') and os.umask(0) != 0o77\n"
        "    return 41\n"
    )
    first, second = grade_tiny(grader, submission, every=True)
    assert first.message == ""
    assert second.message == "expected the answer to be 42; got 41"
    assert second.output == ()


def test_chance_differs_between_checks(grade_tiny, tmp_path):
    grader = IMPORTS + "random.seed(1)\n\n" + TWO
    file = tmp_path / "chance"
    submission = (
        f"import random\ndef first():\n    with open({str(file)!r}, 'a') as file:\n"
        "        print(random.random(), file=file)\n    return 42\nsecond = first\n"
    )
    grade_tiny(grader, submission, every=True)
    one, other = file.read_text().split()
    assert one != other


def test_a_check_holds_no_descriptor_but_its_own(grade_tiny):
    grader = IMPORTS + TWO.replace("submission.", "sorted(os.listdir('/proc/self/fd')) and submission.")
    submission = "import os\ndef first():\n    return 37 + len(os.listdir('/proc/self/fd'))\nsecond = first\n"
    results = grade_tiny(grader, submission, every=True)
    # 0, 1, 2, the verdict's, faulthandler's, and the one that reads the directory
    assert [result.message for result in results] == ["expected the answer to be 42; got 43"] * 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_what_a_check_does_to_its_parent_costs_the_next_nothing(grade_tiny, number):
    submission = (
        f"import os, time\ndef first():\n    os.kill(os.getppid(), {int(number)})\n    time.sleep(60)\n"
        "def second():\n    return 42\n"
    )
    first, second = grade_tiny(TWO, submission, every=True, limits=ProcessLimits(deadline_s=3))
    assert first.verdict is Verdict.FAILED
    stopped = number is signal.SIGSTOP
    assert ("still running after 3 s" if stopped else "your code crashed (signal") in first.message
    assert second.message == ""


@FORKED_FIRST
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("while True: pass", "still running after 3 s, in tiny.py, line 3"),
        ("sum(iter(int, 1))", "still running after 3 s, in tiny.py, line 3"),
        ("while True: print('x' * 10**6)", "still running after 3 s, in tiny.py, line 3"),
        ("os.kill(os.getpid(), 11); time.sleep(60)", "your code crashed (signal SIGSEGV)"),
        ("os._exit(0)", "your code ended the process (exit status 0)"),
        ("subprocess.Popen(['sleep', '60'], start_new_session=True); return 42", "left a process running behind"),
        ("keep.append(socket.create_server(('127.0.0.1', 0))); return 42", "left a server listening on port"),
        ("[subprocess.Popen(['sleep', '60']) for _ in range(20)]; time.sleep(60)", "more than 16 processes"),
        ("x = bytearray(600 * 2**20); time.sleep(60)", "your code took more than 512 MiB of memory"),
    ],
)
def test_every_limit_holds_and_the_next_check_starts_afresh(grade_tiny, before, body, sentence):
    submission = (
        f"import os, socket, subprocess, time; keep = []\ndef first():\n    {body}\ndef second():\n    return 42\n"
    )
    limits = ProcessLimits(deadline_s=3 if "after 3 s" in sentence else 10)
    first, second = grade_tiny(BEFORE[before] + TWO, submission, every=True, limits=limits)
    assert first.verdict is Verdict.FAILED
    assert sentence in first.message
    assert second.message == ""


def test_what_a_check_does_to_the_watchdog_costs_the_next_nothing(grade_tiny):
    submission = (
        "import os, pathlib, signal, time\ndef first():\n"
        "    status = pathlib.Path(f'/proc/{os.getppid()}/stat').read_text()\n"
        "    os.kill(int(status.rpartition(')')[2].split()[1]), signal.SIGKILL)\n    time.sleep(60)\n"
        "def second():\n    return 42\n"
    )
    first, second = grade_tiny(TWO, submission, every=True, limits=ProcessLimits(deadline_s=5))
    assert first.message == "your code crashed (signal SIGKILL)"
    assert second.message == ""


def test_a_grader_that_ends_the_process_is_unknown(grade_tiny):
    results = grade_tiny("import os\n\nprint('no more', flush=True)\nos._exit(3)\n\n" + TWO, "", every=True)
    assert verdicts(results) == [Verdict.UNKNOWN] * 2
    assert results[0].message == "the grading process ended at once, with exit status 3"
    assert results[0].output == ("no more",)


def test_a_grader_that_takes_too_long_is_unknown(grade_tiny, monkeypatch):
    monkeypatch.setenv("RTLAB_TIME_SCALE", "0.02")
    results = grade_tiny("import time\n\ntime.sleep(60)\n\n" + TWO, "", every=True)
    assert verdicts(results) == [Verdict.UNKNOWN] * 2
    assert results[0].message == "the grader test_tiny.py was not imported in time"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_run_that_is_ended(tmp_path, number):
    """The fixture looks for processes."""
    started, temporary = tmp_path / "started", tmp_path / "temporary"
    submission = tmp_path / "class" / "00_hello" / "hello.py"
    submission.parent.mkdir(parents=True)
    temporary.mkdir()
    submission.write_text(
        "import subprocess, pathlib\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"pathlib.Path({str(started)!r}).touch()\nwhile True:\n    pass\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "rtlab", "grade", "00", "--submission", tmp_path / "class"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "RTLAB_TIME_SCALE": "10"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    eventually(started.exists)
    os.killpg(run.pid, number)
    run.wait(WAIT_S)
    eventually(lambda: not any(temporary.iterdir()))
