"""Where the course lies on this machine.

What lives here: the course's folder, and the JavaScript client that `make install` puts into it. It must not know
what is in a chapter or an exercise.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from rtlab.errors import MissingProgramError

__all__ = ["JavaScriptPackage", "course_root", "javascript_client"]

CLIENT = "socket.io-client"
"""The official JavaScript client's name on npm."""


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


def javascript_client(start: Path | None = None) -> JavaScriptPackage:
    """The official JavaScript client, in the first ``node_modules`` from `start` (the working directory) upwards,
    as Node itself looks for it; then beside rtlab.

    Raises:
        MissingProgramError: it is in none of them.
    """
    for folder in _upwards(start):
        path = folder / "node_modules" / CLIENT
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads((path / "package.json").read_text(encoding="utf-8"))
            return JavaScriptPackage(CLIENT, path, str(manifest["version"]))
    raise MissingProgramError(f"The JavaScript client ({CLIENT})", "Run `make install` in the course's folder.")


def _upwards(start: Path | None) -> list[Path]:
    here = (start or Path.cwd()).resolve()
    return [here, *here.parents, Path(__file__).resolve().parents[2]]
