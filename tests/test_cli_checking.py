"""``rtlab check`` by its exit status, its text and its picture."""

import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from deadlines import WAIT_S
from instruments.checking.test_story import AWAY
from instruments.checking.written import written

RTLAB = [sys.executable, "-W", "error", "-m", "rtlab"]
FINE = AWAY.replace("bob returns", "bob pages a-17 12-0\nbob returns")


def run(*arguments, **more):
    return subprocess.run(
        [*RTLAB, *map(str, arguments)], capture_output=True, text=True, timeout=WAIT_S * 2, check=False, **more
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.json"


@pytest.mark.parametrize(
    ("text", "status", "result"),
    [(FINE, 0, "pass"), (AWAY, 1, "fail"), (AWAY.split("alice settles")[0] * 1, 1, "fail")],
)
def test_pass_and_fail(path, text, status, result):
    written(text).save(path)
    done = run("check", path)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.startswith(f"{result}  ")
    assert ("bob never received a-17" in done.stdout) is (result == "fail")
    assert ("    10  bob    joins after 1-0: up to 12-0" in done.stdout.splitlines()) is (result == "fail")
    assert "\x1b" not in done.stdout


def test_unknown(path):
    written("alice joins 1-0").save(path)
    done = run("check", path)
    assert done.returncode == 3
    assert "kept          unknown  No message was acknowledged, so none could be lost: send some." in done.stdout


def test_a_picture(path):
    written(AWAY).save(path)
    picture = path.with_suffix(".svg")
    assert run("check", path, "--svg", picture).returncode == 1
    assert "no a-17!" in {each.text for each in ET.parse(picture).getroot().iter()}
    done = run("check", path, "--svg", path.parent / "nowhere" / "x.svg")
    assert done.returncode != 0
    assert "nowhere" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"), [(None, "does not exist"), ("hello", "is no history: expected its first line to say so")]
)
def test_misused(path, content, said):
    if content is not None:
        path.write_text(content)
    done = run("check", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
