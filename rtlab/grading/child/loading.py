"""From a learner's file to a module.

What lives here: reading, compiling and importing the file, with a sentence for each way in which that fails, and the
proxy through which a grader sees the module. Runs in the child only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

from rtlab.grading.code_origin import shorten

__all__ = ["MissingNameError", "NothingWrittenError", "Submission", "UnreadableError", "load_module", "load_submission"]


class UnreadableError(Exception):
    """The file cannot become a module. The message is what the learner reads. Never leaves the process of a check."""


class NothingWrittenError(Exception):
    """The file has only comments. The message is what the learner reads. Never leaves the process of a check."""


class MissingNameError(AttributeError):
    """The grader asked for a name that the learner's file does not define. Never leaves the process of a check."""


class Submission:
    """The learner's module. A name that it lacks is a failure that says so."""

    def __init__(self, module: ModuleType, file: str) -> None:
        vars(self).update(_module=module, _file=file)

    def __getattr__(self, name: str) -> object:
        module: ModuleType = vars(self)["_module"]
        if hasattr(module, name):
            return getattr(module, name)
        raise MissingNameError(f"{vars(self)['_file']} defines no `{name}`{_similar(name, module)}")

    def __setattr__(self, name: str, value: object) -> None:
        setattr(vars(self)["_module"], name, value)

    def __dir__(self) -> list[str]:
        return dir(vars(self)["_module"])


def load_submission(path: Path, reset: str) -> Submission | Path:
    """Import the learner's file; one that is not Python (nginx.conf) is only looked at, and its path given.

    Its folder is the last place that imports are searched in, so that it can be split into several files, and so that
    a file called ``random.py`` harms nobody.

    Args:
        path: the file.
        reset: the command that brings back the file to start from, or an empty string.

    Raises:
        UnreadableError: there is none, or it cannot be read or compiled.
        NothingWrittenError: it is not Python, and has nothing but comments.
        BaseException: whatever the file raises while it is imported.
    """
    source = _read(path, reset)
    if path.suffix != ".py":
        if all(not line.strip() or line.lstrip().startswith(b"#") for line in source.splitlines()):
            raise NothingWrittenError(f"not written yet ({path.name} has only comments)")
        return path
    sys.path.append(os.fspath(path.parent))
    return Submission(load_module(path, source), path.name)


def load_module(path: Path, source: bytes) -> ModuleType:
    """Compile and execute a file as the module that its name says. Writes no bytecode and reads none.

    Raises:
        UnreadableError: it is not Python.
        BaseException: whatever it raises.
    """
    module = ModuleType(path.stem)
    module.__file__ = os.fspath(path)
    try:
        code = compile(source, os.fspath(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        place = f"{path.name}, line {error.lineno}" if error.lineno else path.name
        text = f": `{shorten(error.text.strip())}`" if error.text and error.text.strip() else ""
        raise UnreadableError(f"{place}: {error.msg}{text}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nested too deeply
        raise UnreadableError(f"{path.name} is not Python: {error}") from None
    sys.modules[path.stem] = module
    exec(code, vars(module))  # noqa: S102 - running the learner's file is what this is for
    return module


def _read(path: Path, reset: str) -> bytes:
    advice = f"; `{reset}` brings back the one to start from" if reset else ""
    if path.is_dir():
        raise UnreadableError(f"{path.name} is a folder; a file is expected{advice}")
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise UnreadableError(f"there is no {path.name} in {path.parent.name}{advice}") from None
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read: {error.strerror}") from None
    if not source.strip():
        raise UnreadableError(f"{path.name} is empty{advice}")
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"{path.name} is not UTF-8 text (byte 0x{source[error.start]:02x} in line {line}); save it as UTF-8"
        ) from None
    return source


def _similar(name: str, module: ModuleType) -> str:
    import difflib

    close = difflib.get_close_matches(name, [n for n in vars(module) if not n.startswith("_")], n=1)
    return f", but it has `{close[0]}`" if close else ""
