"""What is installed where: the lists agree, the wheel holds the package, and the package is cheap to import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from deadlines import SCALE
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from quick import quick

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PINS = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]
PYTHONS = ("3.11.0", "3.11.9", "3.12.4", "3.13.1", "3.14.0")
MACHINES = (
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "x86_64"),
    ("darwin", "arm64"),
    ("win32", "AMD64"),
)
INSTALL_S = 600 * SCALE
TRIES = 20
"""How long an installation from nothing may take, downloads included."""


def environment(system: str, machine: str, python: str) -> dict[str, str]:
    """The variables of markers (PEP 508) on such a machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "platform_version": "",
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": system,
        "extra": "",
    }


def holds(requirement: Requirement, variables: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(variables)


def needed(variables: dict[str, str]) -> Iterator[tuple[str, Requirement]]:
    """Who needs what on such a machine, for everything that is installed here, all the way down."""
    roots = [*PROJECT["dependencies"], *(each for extra in EXTRAS.values() for each in extra)]
    waiting = [("rtlab", Requirement(each)) for each in roots]
    seen = set()
    while waiting:
        parent, requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if not holds(requirement, variables):
            continue
        yield parent, requirement
        if key in seen:
            continue
        seen.add(key)
        try:
            children = metadata.requires(requirement.name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform than this one
        for text in children:
            child = Requirement(text)
            if any(holds(child, variables | {"extra": extra}) for extra in ("", *requirement.extras)):
                child.marker = None
                waiting.append((requirement.name, child))


def new_python(*arguments: str) -> str:
    """What a Python of its own prints."""
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=180 * SCALE, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr, run.stderr
    return run.stdout


def test_environment_yml_lists_what_pyproject_lists():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = listed["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": [*PROJECT["dependencies"], *EXTRAS["course"], *EXTRAS["test"], "-e ."]}
    assert listed["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize(("system", "machine"), MACHINES)
@pytest.mark.parametrize("python", quick(PYTHONS, [PYTHONS[0], PYTHONS[-1]]))
def test_there_is_one_fitting_pin_for_whatever_is_needed(system, machine, python):
    variables = environment(system, machine, python)
    pins: dict[str, list[Requirement]] = {}
    for pin in PINS:
        if holds(pin, variables):
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    assert not [name for name, several in pins.items() if len(several) > 1]
    for parent, requirement in needed(variables):
        found = pins.get(canonicalize_name(requirement.name))
        assert found, f"{parent} needs {requirement}, and nothing is pinned for {system} {machine} {python}"
        version = str(found[0].specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{parent} needs {requirement}, not {version}"


def test_a_pin_is_one_version_and_names_no_place():
    for pin in PINS:
        assert re.fullmatch(r"==[\w.!+]+", str(pin.specifier)), pin
        assert pin.url is None
        assert not pin.extras


@pytest.mark.parametrize(
    "file",
    [
        "requirements.txt",
        "package.json",
        "package-lock.json",
        ".npmrc",
        "pyproject.toml",
        "environment.yml",
        "Makefile",
    ],
)
def test_no_list_names_a_registry(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    # comments, and where npm's lock tells whom one can thank
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("#", '"url": '))]
    for sign in (
        "://",
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "registry=",
        '"resolved"',
        "pypi.",
        "npmjs.",
    ):
        assert not [line for line in lines if sign in line], f"{file} says {sign}"


def test_the_javascript_side_is_pinned_and_locked():
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    for name, version in package["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} {version} is a range"
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert all(entry["integrity"].startswith("sha512-") for path, entry in lock["packages"].items() if path)


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    build = "import sys; from flit_core.buildapi import build_wheel; print(build_wheel(sys.argv[1]))"
    name = new_python("-c", build, str(tmp_path)).strip()
    with zipfile.ZipFile(tmp_path / name) as wheel:
        files = set(wheel.namelist())
        (info,) = (file for file in files if file.endswith(".dist-info/METADATA"))
        said = Parser().parsestr(wheel.read(info).decode())
        points = wheel.read(info.replace("METADATA", "entry_points.txt")).decode()
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rtlab").rglob("*") if path.is_file()}
    expected = {file for file in sources if "__pycache__" not in file}
    assert {file for file in files if ".dist-info/" not in file} == expected
    assert {"rtlab/py.typed", "rtlab/servers/watchdog.py"} <= expected
    assert "rtlab=rtlab.cli:main" in points.replace(" ", "")
    assert any(file.endswith("/LICENSE") for file in files)
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert set(said.get_all("Provides-Extra") or ()) == set(EXTRAS)


def test_importing_rtlab_loads_the_standard_library_and_nothing_else():
    code = "import sys; before = set(sys.modules); import rtlab; print(*sorted(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in new_python("-c", code).split()}
    assert loaded - set(sys.stdlib_module_names) == {"rtlab"}


def test_importing_rtlab_costs_at_most_twice_what_asyncio_costs():
    def cost_s(modules: str) -> float:
        code = f"import time; before = time.process_time(); import {modules}; print(time.process_time() - before)"
        return float(new_python("-c", code))

    ours = theirs = float("inf")
    for tries in range(1, TRIES + 1):  # of the processor's time the least, until it is little enough
        ours, theirs = min(ours, cost_s("rtlab")), min(theirs, cost_s("asyncio, dataclasses, json, enum"))
        if tries >= 5 and ours <= 2 * theirs:
            return
    pytest.fail(f"{ours:.3f} s, and the others {theirs:.3f} s")


EVERY_MODULE = """
import importlib, json, pkgutil, sys
import rtlab
report = {"broken": [], "unresolved": [], "clashes": []}
modules = {"rtlab": rtlab}
def failed(name): report["broken"].append(name)
for found in pkgutil.walk_packages(rtlab.__path__, "rtlab.", onerror=failed):
    if not found.name.endswith("__main__"):
        modules[found.name] = importlib.import_module(found.name)
for name, module in modules.items():
    public = getattr(module, "__all__", ())
    report["unresolved"] += [f"{name}.{each}" for each in public if not hasattr(module, each)]
    inside = {other.rpartition(".")[2] for other in modules if other.rpartition(".")[0] == name}
    report["clashes"] += [f"{name}.{each}" for each in inside & set(public)]
report["modules"] = len(modules)
print(json.dumps(report))
"""


def test_every_module_imports_and_every_public_name_is_there():
    report = json.loads(new_python("-W", "error", "-c", EVERY_MODULE))
    assert report.pop("modules") == sum(path.name != "__main__.py" for path in (ROOT / "rtlab").rglob("*.py"))
    assert report == {"broken": [], "unresolved": [], "clashes": []}


@pytest.mark.long
@pytest.mark.timeout(2 * INSTALL_S)
def test_pip_install_in_an_empty_environment(tmp_path):
    """`pip install .` from nothing: the package, its command, and clear words where the course is not there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RTLAB", "VIRTUAL"))}
    venv, scripts = tmp_path / "venv", tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def run(*command: str, status: int | None = 0) -> str:
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=INSTALL_S
        )
        said = done.stdout + done.stderr
        assert status is None or done.returncode == status, said
        assert "Traceback" not in said, said
        return f"{done.returncode}\n{said}"

    run(sys.executable, "-m", "venv", str(venv))
    python, rtlab = str(scripts / "python"), str(scripts / "rtlab")
    index = run(
        python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path), "flit_core", status=None
    )
    if not index.startswith("0\n"):
        pytest.skip(f"no package index can be reached: {index.splitlines()[-1]}")
    run(python, "-m", "pip", "install", "--quiet", str(ROOT))
    run(python, "-m", "pip", "check")
    assert str(venv) in run(python, "-c", "import rtlab; print(rtlab.__file__)")
    for name in ("serve", "start", "diagnose", "resources"):
        run(python, "-c", f"import rtlab; rtlab.{name}")
    assert "doctor" in run(rtlab, "--help")
    report = json.loads(run(rtlab, "doctor", "--json").partition("\n")[2])
    found = {check["name"]: check for check in report["checks"]}
    assert found["Packages"]["status"] == "ok"
    assert (found["Course packages"]["status"], found["Course packages"]["required"]) == ("missing", False)
    assert "rtlab[course]" in found["Course packages"]["advice"]
    assert report["ok"]
    refusal = run(rtlab, "grade", status=None)
    assert not refusal.startswith("0\n")
    assert "course" in refusal
