"""What a submission may not lean on: the modules of rtlab that hold the answer, and the solutions.

What lives here: a finder that refuses the first, and an audit hook (PEP 578) that refuses to open the second. They
help a learner to stay honest with themself: whoever wants to get around them can, for this is Python in one
process. They are no sandbox. Programs that the submission starts are not covered.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType

from rtlab.grading.blame import Origin

__all__ = ["RefusedError", "close_modules", "close_solutions"]

INSTEAD = "The rest of rtlab, the standard library and the installed packages are there for you."


class RefusedError(ImportError):
    """The submission reached for the answer. The message says what to do instead."""


def close_modules(forbidden: Mapping[str, str], origin: Origin) -> None:
    """From now on the learner's code cannot import these modules, nor what is below them.

    What was loaded already is taken out of `sys.modules` and off its package. The grader, which was imported before,
    keeps what it holds, and may import more.

    Args:
        forbidden: the full names, each with words on what to use instead (or "").
        origin: tells whose code it is that imports.
    """
    if not forbidden:
        return
    for name in list(sys.modules):
        if _rule(name, forbidden) is not None:
            del sys.modules[name]
            package, _, attribute = name.rpartition(".")
            if package in sys.modules:
                vars(sys.modules[package]).pop(attribute, None)
    sys.meta_path.insert(0, _Refuser(dict(forbidden), origin))


def close_solutions(solutions: Path) -> None:
    """From now on this process cannot open a file in the folder of solutions."""
    root = os.path.realpath(solutions)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], (str, bytes)):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path == root or path.startswith(root + os.sep):
            raise RefusedError(
                "the solutions are closed while your code is graded: this one you write yourself. "
                "Once it passes you are told where the notes are"
            )

    sys.addaudithook(hook)


class _Refuser(MetaPathFinder):
    """Refuses a forbidden module when a line of the learner's stands anywhere in the chain of callers."""

    def __init__(self, forbidden: dict[str, str], origin: Origin) -> None:
        self.forbidden = forbidden
        self.origin = origin

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        rule = _rule(fullname, self.forbidden)
        if rule is None:
            return None
        frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to see who is calling
        while frame is not None:
            if self.origin.owns(frame.f_code.co_filename):
                instead = self.forbidden[rule] or INSTEAD
                raise RefusedError(f"{fullname} holds the answer: this one you write yourself. {instead}")
            frame = frame.f_back
        return None


def _rule(name: str, forbidden: Mapping[str, str]) -> str | None:
    """The forbidden module that this is, or is below of."""
    return next((rule for rule in forbidden if name == rule or name.startswith(rule + ".")), None)
