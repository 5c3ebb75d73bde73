"""Where the course lies on this machine.

What lives here: the course's folder, and the JavaScript packages that `make install` puts into it. It must not know
what is in a chapter or an exercise.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from rtlab.errors import MissingProgramError

__all__ = ["PACKAGES", "JavaScriptPackage", "course_root", "javascript_packages"]

PACKAGES = ("socket.io-client", "socket.io", "socket.io-msgpack-parser", "ws")
"""What the JavaScript side stands on, by its names on npm: the official client first."""


@dataclass(frozen=True)
class JavaScriptPackage:
    """A package that npm has installed."""

    name: str
    path: Path
    """Its folder, inside a ``node_modules``."""
    version: str


def course_root(start: Path | None = None) -> Path | None:
    """The course's folder: the first one from `start` (the working directory) upwards, then the one beside rtlab,
    that holds ``notebooks`` and ``exercises``. None where rtlab is installed without the course."""
    for folder in _upwards(start):
        if (folder / "notebooks").is_dir() and (folder / "exercises").is_dir():
            return folder
    return None


def javascript_packages(start: Path | None = None) -> tuple[JavaScriptPackage, ...]:
    """All of `PACKAGES`, in the first ``node_modules`` from `start` (the working directory) upwards that has the
    first of them, as Node itself looks for it; then beside rtlab.

    Raises:
        MissingProgramError: there is no such ``node_modules``, or it lacks some; the message names them.
    """
    for folder in _upwards(start):
        found = {name: _installed(folder / "node_modules", name) for name in PACKAGES}
        if found[PACKAGES[0]]:
            break
    else:
        found = {}
    missing = [name for name in PACKAGES if not found.get(name)]
    if missing:
        raise MissingProgramError(
            f"The JavaScript side (npm: {', '.join(missing)})",
            "Run `make install` in the course's folder (in an environment of your own: `npm ci`).",
        )
    return tuple(package for package in found.values() if package)


def _installed(folder: Path, name: str) -> JavaScriptPackage | None:
    """A package in a ``node_modules``."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        manifest = json.loads((folder / name / "package.json").read_text(encoding="utf-8"))
        return JavaScriptPackage(name, folder / name, str(manifest["version"]))
    return None


def _upwards(start: Path | None) -> list[Path]:
    here = (start or Path.cwd()).resolve()
    return [here, *here.parents, Path(__file__).resolve().parents[2]]
