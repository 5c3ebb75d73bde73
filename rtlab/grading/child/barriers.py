"""What a submission may not lean on: the modules of rtlab that hold the answer, and the solutions.

What lives here: a finder that refuses to import the first, a type of module that the learner's lines cannot read, and
an audit hook (PEP 578) that refuses to open the second. They help a learner to stay honest with themself: whoever wants
to get around them can, for this is Python in one process. They are no sandbox. Programs that the submission starts are
not covered.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType

from rtlab.grading.code_origin import CodeOrigin

__all__ = ["BarrierError", "close_modules", "close_solutions"]

INSTEAD = "The rest of rtlab, the standard library and the installed packages are there for you."


class BarrierError(ImportError):
    """The submission reached for the answer. The message says what to do. Never leaves the process of a check."""


def close_modules(forbidden: Mapping[str, str], origin: CodeOrigin) -> None:
    """From now on the learner's code cannot import these modules, nor what is below them.

    What was loaded already is taken out of `sys.modules`. The grader, which was imported before, keeps what it holds,
    and may import more. That is in `sys.modules` then, and an import of what is there asks no finder: so these modules
    become such that a line of the learner's cannot read them, however it came by them.

    Args:
        forbidden: the full names, each with words on what to use instead (or "").
        origin: tells whose code it is that imports.
    """
    if not forbidden:
        return
    refusal = _Refusal(dict(forbidden), origin)
    for name in list(sys.modules):
        if refusal.rule(name) is not None:
            refusal.close(sys.modules.pop(name))
    sys.meta_path.insert(0, _Refuser(refusal))


def close_solutions(solutions: Path) -> None:
    """From now on this process cannot open a file in the folder of solutions."""
    root = os.path.realpath(solutions)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], (str, bytes)):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path == root or path.startswith(root + os.sep):
            raise BarrierError(
                "the solutions are closed while your code is graded: this one you write yourself. "
                "Once it passes you are told where the notes are"
            )

    sys.addaudithook(hook)


class _Refusal:
    """Which modules are refused, and to whom."""

    def __init__(self, forbidden: dict[str, str], origin: CodeOrigin) -> None:
        self.forbidden = forbidden
        self.origin = origin
        refusal = self

        class Closed(ModuleType):
            """A module whose attributes the learner's lines cannot get, nor therefore import."""

            def __getattribute__(self, attribute: str) -> object:
                frame = sys._getframe(1)  # noqa: SLF001 - the documented way to see who is calling
                if refusal.origin.owns(frame.f_code.co_filename):
                    raise refusal.error(str(super().__getattribute__("__name__")))
                return super().__getattribute__(attribute)

        self._closed = Closed

    def rule(self, name: str) -> str | None:
        """The forbidden module that this is, or is below of."""
        return next((rule for rule in self.forbidden if name == rule or name.startswith(rule + ".")), None)

    def error(self, name: str) -> BarrierError:
        """What the learner reads."""
        instead = self.forbidden[self.rule(name) or ""] or INSTEAD
        return BarrierError(f"{name} holds the answer: this one you write yourself. {instead}")

    def close(self, module: ModuleType) -> None:
        """From now on the learner's lines cannot read this module. One of a type of its own stays as it is."""
        if type(module) is ModuleType:
            module.__class__ = self._closed


class _Refuser(MetaPathFinder):
    """Refuses a forbidden module when a line of the learner's stands anywhere in the chain of callers; closes it when
    somebody else imports it."""

    def __init__(self, refusal: _Refusal) -> None:
        self.refusal = refusal

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self.refusal.rule(fullname) is None:
            return None
        frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to see who is calling
        while frame is not None:
            if self.refusal.origin.owns(frame.f_code.co_filename):
                raise self.refusal.error(fullname)
            frame = frame.f_back
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Closing(spec.loader, self.refusal)
        return spec


class _Closing(Loader):
    """Loads a module as another loader does, and closes it before its first line runs."""

    def __init__(self, loader: Loader, refusal: _Refusal) -> None:
        self.loader = loader
        self.refusal = refusal

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader  # whoever asks for its source asks that one
        self.refusal.close(module)
        self.loader.exec_module(module)
