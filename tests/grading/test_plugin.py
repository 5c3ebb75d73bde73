"""`pytest exercises`, as a learner runs it: sentences and points, no stack traces."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import WAIT_S

ROOT = Path(__file__).parents[2]
EXERCISE = "exercises/00_hello"


@pytest.fixture
def run_pytest(tmp_path, leaves_no_process):
    """Grades a file as the only submission. Gives exit status and output."""

    def run(file, *arguments, path=EXERCISE):
        submissions = tmp_path / "submissions"
        (submissions / "00_hello").mkdir(parents=True, exist_ok=True)
        if file is not None:
            shutil.copy(file, submissions / "00_hello" / "hello.py")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", path, "--submission", submissions, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=3 * WAIT_S,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    return run


SOLUTION = ROOT / "solutions" / "00_hello" / "hello.py"
STUB = ROOT / EXERCISE / ".stub" / "hello.py"
WRONG = ROOT / "tests" / "wrong" / "00_hello" / "greets_one_only" / "hello.py"


def test_the_solution(run_pytest):
    status, output = run_pytest(SOLUTION)
    assert status == 0
    assert "00_hello: 5 of 5 points" in output
    assert "2 passed" in output


def test_the_stub(run_pytest):
    status, output = run_pytest(STUB, "-v")
    assert status == 1
    assert "00_hello: 0 of 5 points" in output
    assert output.count("not written yet (hello.py, line 15)") == 1
    assert output.count("(as above)") == 1
    assert "2 to do" in output
    assert re.search(r"test_hello\.py::test_greets_by_name TO DO", output)


def test_a_failure_is_told_once_and_in_one_sentence(run_pytest):
    status, output = run_pytest(WRONG, "-q")
    assert status == 1
    assert "00_hello: 2 of 5 points" in output
    assert output.count("expected an answer to 'Radia'") == 1
    assert "FAILURES" not in output
    assert "1 failed, 1 passed" in output


@pytest.mark.long
def test_a_missing_file(run_pytest):
    status, output = run_pytest(None, "-x", path="exercises")
    assert status == 1
    assert "there is no hello.py in 00_hello" in output
    assert "(1 of its 2 checks not run)" in output


@pytest.mark.long
def test_a_part_of_the_checks(run_pytest):
    status, output = run_pytest(SOLUTION, path=f"{EXERCISE}/test_hello.py::test_greets_every_name")
    assert status == 0
    assert "00_hello: 3 of 5 points (1 of its 2 checks not run)" in output
    _, output = run_pytest(SOLUTION, "--collect-only", "-q", "-k", "by_name")
    assert f"{EXERCISE}/test_hello.py::test_greets_by_name" in output
    assert "points" not in output


@pytest.mark.long
def test_beside_other_tests_their_failures_keep_their_traces(run_pytest, tmp_path):
    (tmp_path / "test_other.py").write_text("def test_other():\n    assert 1 == 2\n")
    status, output = run_pytest(WRONG, str(tmp_path / "test_other.py"))
    assert status == 1
    assert "assert 1 == 2" in output
    assert "00_hello: 2 of 5 points" in output


def test_a_folder_that_does_not_exist():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", EXERCISE, "--submission", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * WAIT_S,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--submission: No folder nowhere: expected one that holds submissions like exercises/ does." in done.stderr


def test_a_folder_of_another_shape_is_told_once():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", EXERCISE, "--submission", EXERCISE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * WAIT_S,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.count(f"{EXERCISE} is one level too deep. Pass the folder above it: exercises.") == 1
    assert "there is no" not in done.stdout


@pytest.mark.long
def test_in_parallel(run_pytest):
    status, output = run_pytest(WRONG, "-n", "2")
    assert status == 1
    assert "00_hello: 2 of 5 points" in output
    assert output.count("expected an answer to 'Radia'") == 1
