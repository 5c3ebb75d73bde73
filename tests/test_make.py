"""`make install` installs when there is something to install, and only then."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import WAIT_S

ROOT = Path(__file__).parent.parent
INPUTS = ["Makefile", "requirements.txt", "pyproject.toml", "package.json", "package-lock.json"]


def make(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run make as a person would: not as part of the make that runs these tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))} | environment
    return subprocess.run(
        ["make", *arguments], cwd=cwd, capture_output=True, text=True, timeout=WAIT_S, check=False, env=own
    )


@pytest.fixture
def installed(tmp_path):
    """A copy of the project that looks freshly installed."""
    folder = tmp_path / "a folder with spaces"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in INPUTS:
        shutil.copy(ROOT / name, folder)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    stamp = subprocess.run(
        f"{{ cat {' '.join(INPUTS)}; pwd -P; }} | cksum", shell=True, cwd=folder, capture_output=True, check=True
    ).stdout
    (folder / ".venv" / "installed").write_bytes(stamp)
    return folder


def wants_to_install(folder: Path) -> bool:
    """Whether `make install` goes to work; a Python that fails stops it at its first step."""
    result = make("install", "PYTHON=false", cwd=folder)
    assert result.returncode == 0 or "Python 3.11 or newer is needed" in result.stderr, result.stderr
    return result.returncode != 0


def test_a_second_call_does_nothing(installed):
    assert not wants_to_install(installed)
    assert make("install", "PYTHON=false", cwd=installed).stdout == ""


@pytest.mark.parametrize("name", INPUTS)
def test_a_change_is_noticed(installed, name):
    with (installed / name).open("a") as file:
        file.write("\n")
    assert wants_to_install(installed)


def test_a_moved_folder_is_noticed(installed):
    assert wants_to_install(installed.rename(installed.with_name("elsewhere")))


def test_a_python_that_went_away_is_noticed(installed):
    python = installed / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert wants_to_install(installed)


def test_an_interrupted_installation_is_noticed(installed):
    (installed / ".venv" / "installed").unlink()
    assert wants_to_install(installed)


def test_help_names_every_target():
    text = make(cwd=ROOT).stdout
    for target in [
        "lab",
        "install",
        "test",
        "test-notebooks",
        "test-pythons",
        "test-long",
        "check",
        "format",
        "notebooks",
        "requirements",
        "clean",
    ]:
        assert f"make {target} " in text
        assert f"`make {target}`" in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.fixture
def pythons(tmp_path):
    """A folder with the Makefile, and a way to see which Pythons `make test-pythons` takes, and what for."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    versions = tmp_path / "pyenv" / "versions"

    def program(path: Path, line: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    program(tmp_path / "bin" / "pyenv", f'echo "{tmp_path / "pyenv"}"')

    def run(*on_path: str, kept: dict[str, str], broken: tuple[str, ...] = (), target: str = ""):
        for version in on_path:
            program(tmp_path / "bin" / f"python{version}", "exit 1" if version in broken else "echo Python")
        for folder, version in kept.items():
            program(versions / folder / "bin" / f"python{version}", "echo Python")
        said = make(
            "test-pythons", "PYTHONS=9.1 9.2 9.3 9.4", f"MAKE={target or 'echo run'}", cwd=tmp_path,
            PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        )  # fmt: skip
        runs = [line.split() for line in said.stdout.splitlines() if line.startswith("run ")]
        return said, [(words[1].rpartition("python")[2], words[2], words[3:]) for words in runs]

    return run


def test_oldest_and_newest_are_tested_whole_and_those_between_by_the_notebooks(pythons):
    said, runs = pythons("9.1", "9.3", kept={"9.2.5": "9.2"})
    assert said.returncode == 0, said.stderr
    assert runs == [
        ("9.1", "VENV=.venv-9.1", ["check", "test"]),
        ("9.2", "VENV=.venv-9.2", ["test-notebooks"]),
        ("9.3", "VENV=.venv-9.3", ["check", "test"]),
    ]
    assert "Python 9.4 is not on this machine: skipped" in said.stdout


def test_one_python_is_oldest_and_newest(pythons):
    _, runs = pythons("9.2", kept={})
    assert runs == [("9.2", "VENV=.venv-9.2", ["check", "test"])]


def test_a_shim_without_its_python_is_no_python_and_what_pyenv_keeps_takes_its_place(pythons):
    _, runs = pythons("9.2", "9.3", kept={"9.2.5": "9.2"}, broken=("9.2", "9.3"))
    assert runs == [("9.2", "VENV=.venv-9.2", ["check", "test"])]


def test_no_python_at_all_is_an_error(pythons):
    said, _ = pythons(kept={})
    assert said.returncode != 0
    assert "None of these is here" in said.stderr


def test_a_failure_on_one_python_ends_it(pythons):
    said, _ = pythons("9.1", "9.2", kept={}, target="false")
    assert said.returncode != 0
    assert "took" not in said.stdout
