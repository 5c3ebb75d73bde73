"""The command `rtlab`, as a person uses it: in processes of its own, on a copy of the course."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from deadlines import WAIT_S
from eventually import eventually
from grading_course import copy_course

import rtlab

ROOT = Path(__file__).parents[1]
NASTY = ROOT / "tests" / "nasty"


@pytest.fixture
def course(tmp_path):
    return copy_course(ROOT, tmp_path / "course")


@pytest.fixture
def run(course):
    """Runs the command in the course's folder. Gives exit status, standard output and standard error."""

    def run(*arguments, cwd=course):
        done = subprocess.run(
            [sys.executable, "-m", "rtlab", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=3 * WAIT_S,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def solve(course):
    solution = course / "solutions" / "00_hello" / "hello.py"
    (course / "exercises" / "00_hello" / "hello.py").write_bytes(solution.read_bytes())


def test_help_and_version(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(command in out for command in ("grade", "exercises", "reset", "hint", "doctor"))
    assert run("--version") == (0, f"rtlab, version {rtlab.__version__}\n", "")


def test_help_loads_next_to_nothing():
    code = "import sys, rtlab.cli; print(sorted({n.partition('.')[0] for n in sys.modules} & set(sys.argv[1:])))"
    heavy = ["asyncio", "rich", "psutil", "pytest", "websockets", "aiohttp", "matplotlib", "redis"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, timeout=WAIT_S
    )
    assert done.stdout == "[]\n"


def test_grade_the_stubs(run):
    status, out, err = run("grade")
    assert (status, err) == (1, "")
    assert "00_hello: 0 of 5 points\n  ○ to do   0/2  test_greets_by_name\n      not written yet" in out
    assert not [line for line in out.splitlines() if line != line.rstrip()]


def test_grade_the_solutions_as_json(run, tmp_path):
    status, out, err = run("grade", "hello", "--submission", "solutions", "--json", "-")
    scores = json.loads(out)
    assert status == 0
    assert (scores["points"], scores["max"], scores["exercises"][0]["id"]) == (5, 5, "00_hello")
    assert {check["verdict"] for check in scores["exercises"][0]["checks"]} == {"passed"}
    assert "00_hello: 5 of 5 points" in err
    status, out, _ = run("grade", "--json", tmp_path / "scores.json")
    assert status == 1
    assert json.loads((tmp_path / "scores.json").read_text())["points"] == 0
    assert "00_hello: 0 of 5 points" in out


def test_the_way_of_a_learner(run, course):
    """List, hint, hint, solve, grade, list, reset."""
    assert "- of 5" in run("exercises")[1]
    status, out, _ = run("hint", "00")
    assert status == 0
    assert "Hint 1 of 2" in out
    assert "Hint 2" not in out
    assert "Still stuck? rtlab hint 00 once more tells more." in out
    assert "0 of 5" in run("exercises")[1]
    assert "Hint 2 of 2" in run("hint", "hello")[1]
    assert "There are no more." in run("hint", "hello")[1]
    solve(course)
    assert run("hint", "0")[1] == "All checks of 00_hello are passed.\n"
    status, out, _ = run("grade", "0")
    assert status == 0
    assert "Now compare with solutions/00_hello/NOTES.md." in out
    assert "✔  00_hello  5 of 5" in run("exercises")[1]
    status, out, _ = run("reset", "0")
    assert status == 0
    assert "Yours is kept as hello.py.before-reset-1" in out
    assert "- of 5" in run("exercises")[1]
    assert "Yours" not in run("reset", "0")[1]


def test_a_hint_for_a_check_by_its_name(run, course):
    status, out, _ = run("hint", "00", "test_greets_every_name")
    assert status == 0
    assert out.startswith("test_greets_every_name: ")
    assert "rtlab hint 00 test_greets_every_name once more" in out
    assert "Hint 2 of 2" in run("hint", "00", "test_greets_every_name")[1]
    assert run("hint", "00", "test_hello.py::test_greets_every_name") == run("hint", "0", " Greets_Every_Name")
    for name, guess in (("test_sings", ""), ("", ""), ("greets_every", " Did you mean test_greets_every_name?")):
        status, _, err = run("hint", "00", name)
        assert status == 2
        assert f"has no check {name!r}.{guess} It has test_greets_by_name, test_greets_every_name." in err
    solve(course)
    run("grade", "00")
    assert run("hint", "00", "test_greets_every_name")[1] == "test_greets_every_name is passed.\n"


def test_a_hint_for_another_submission(run, course, tmp_path):
    """It is graded anew each time, and what is known of one's own file stays as it is."""
    folder = tmp_path / "from a friend"
    (folder / "00_hello").mkdir(parents=True)
    file = folder / "00_hello" / "hello.py"
    file.write_bytes((course / "solutions" / "00_hello" / "hello.py").read_bytes())
    assert run("hint", "00", "--submission", str(folder))[1] == "All checks of 00_hello are passed.\n"
    assert "- of 5" in run("exercises")[1]
    file.write_text("import nothing_of_that_name\n")
    _, out, _ = run("hint", "00", "test_greets_by_name", "--submission", str(folder))
    assert "Hint 1 of 2" in out
    assert f"rtlab hint 00 test_greets_by_name --submission '{folder}' once more" in out
    status, out, _ = run("grade", "--submission", str(folder))
    assert status == 1
    assert out.count("nothing_of_that_name") == 1
    assert out.count("(as above)") == 1
    for wrong, said in (("nowhere", "No folder nowhere"), (str(folder / "00_hello"), "one level too deep")):
        status, _, err = run("hint", "00", "--submission", wrong)
        assert (status, said in err) == (2, True)


def test_a_class(run, tmp_path, course):
    for student, source in {"ann": course / "solutions", "bob": course / "exercises", "dee": None}.items():
        folder = tmp_path / "class" / student / "00_hello"
        folder.mkdir(parents=True)
        if source is not None:
            (folder / "hello.py").write_bytes((source / "00_hello" / "hello.py").read_bytes())
    (tmp_path / "class" / "notes.txt").write_text("not a student")
    status, out, _ = run("grade", "--all", tmp_path / "class", "--csv", tmp_path / "scores.csv")
    assert status == 0
    with (tmp_path / "scores.csv").open() as file:
        assert list(csv.reader(file)) == [
            ["student", "00_hello", "points", "max"],
            ["ann", "5", "5", "5"],
            ["bob", "0", "0", "5"],
            ["dee", "missing", "0", "5"],
        ]
    assert "dee      missing  0       5" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["grade", "77"], "There is no exercise '77'. There are: 00_hello."),
        (["reset", "77"], "There are: 00_hello."),
        (["hint"], "Missing argument 'NN'"),
        (["grade", "--submission", "nowhere"], "No folder nowhere"),
        (["grade", "--all", "nowhere"], "No folder nowhere"),
        (["grade", "--all", "notebooks"], "No folders in notebooks: expected one for each student"),
        (["grade", "--csv", "x"], "--csv belongs to --all"),
        (["grade", "--all", ".", "--watch"], "--all goes with --csv only"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["--root", "/", "exercises"], "No course in /"),
    ],
)
def test_misuse_ends_with_2_and_says_what_to_do(run, arguments, problem):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert problem in err


def test_outside_the_course(run, tmp_path):
    status, _, err = run("grade", cwd=tmp_path)
    assert status == 2
    assert "Clone the course's repository" in err


def test_a_reader_that_leaves_is_no_error(course):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "rtlab", "exercises"], cwd=course, stdout=writer, stderr=subprocess.PIPE, timeout=WAIT_S
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1


@pytest.fixture
def begin(course):
    """Starts the command; whatever happens it is ended."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments):
            command = [sys.executable, "-u", "-m", "rtlab", *arguments]
            process = subprocess.Popen(
                command, cwd=course, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def test_ctrl_c_ends_the_run_and_what_it_started(begin, course, tmp_path):
    hello = course / "exercises" / "00_hello" / "hello.py"
    hello.write_text(f"open({str(tmp_path / 'begun')!r}, 'w').close()\nwhile True:\n    pass\n")
    process = begin("grade")
    eventually((tmp_path / "begun").exists)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert err == "\nInterrupted.\n"
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert not alive


def test_watch_grades_again_after_a_change(begin, course):
    process = begin("grade", "--watch")
    output = iter(process.stdout.readline, "")
    assert "00_hello: 0 of 5 points\n" in output
    assert any("Stuck?" in line for line in output)
    solve(course)
    assert "00_hello: 5 of 5 points\n" in output
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert err.endswith("Interrupted.\n")
    assert "Traceback" not in err


def test_doctor(run):
    status, out, err = run("doctor", "--json")
    assert status in (0, 1)
    assert json.loads(out)
    assert err == ""
