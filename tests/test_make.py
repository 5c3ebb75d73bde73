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


def make(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run make as a person would: not as part of the make that runs these tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
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
