"""`pytest --nbval notebooks` works as it is typed: the sanitisers and the time-out come from the configuration."""

import subprocess
import sys
from pathlib import Path

import pytest
from deadlines import WAIT_S

ROOT = Path(__file__).parent.parent
PROBE = """
import sys

def pytest_collection_finish(session):
    option = session.config.option
    print("nbval:", option.nbval_sanitize_with, option.nbval_cell_timeout)
"""


@pytest.mark.parametrize(
    ("arguments", "sanitizers", "timeout"),
    [
        ((), str(ROOT / "tests" / "nbval_sanitize.cfg"), 60.0),
        (("--nbval-cell-timeout", "7"), str(ROOT / "tests" / "nbval_sanitize.cfg"), 7.0),
        (("--nbval-sanitize-with", "own.cfg"), "own.cfg", 60.0),
    ],
)
def test_what_is_not_given_is_set_and_what_is_given_stays(arguments, sanitizers, timeout, tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--collect-only",
        "-q",
        "-p",
        "probe",
        "-p",
        "no:cacheprovider",
    ]
    said = subprocess.run(
        [*command, *arguments, "notebooks/appendix_debugging.ipynb"],
        cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S * 2, check=False,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert f"nbval: {sanitizers} {timeout}" in said.stdout, said.stdout + said.stderr
