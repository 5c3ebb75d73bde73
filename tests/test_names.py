"""Each thing has one name and one home: classes, and the exceptions that a caller may meet."""

import ast
import builtins
from collections import defaultdict
from pathlib import Path

import rtlab.errors

PACKAGE = Path(rtlab.errors.__file__).parent
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
CLASSES = [(path, node) for path, tree in TREES.items() for node in tree.body if isinstance(node, ast.ClassDef)]


def exceptions() -> list[tuple[str, ast.ClassDef]]:
    """Every class of the package that is an exception, directly or through another one."""
    known = {
        name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
    }
    found: list[tuple[str, ast.ClassDef]] = []
    grown = True
    while grown:
        grown = False
        for path, node in CLASSES:
            if node.name not in known and any(isinstance(base, ast.Name) and base.id in known for base in node.bases):
                known.add(node.name)
                found.append((path, node))
                grown = True
    return found


def test_no_two_classes_share_a_name():
    homes = defaultdict(list)
    for path, node in CLASSES:
        homes[node.name].append(path)
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_the_exceptions_are_found():
    assert {"InvalidToken", "ReservedRoomError", "ChatRefusedError"} <= {node.name for _, node in exceptions()}


def test_an_exception_that_a_caller_may_meet_lives_in_errors():
    elsewhere = [(path, node) for path, node in exceptions() if path != "errors.py"]
    assert len(elsewhere) > 5
    homeless = [
        f"{path}: {node.name}" for path, node in elsewhere if "Never leaves" not in (ast.get_docstring(node) or "")
    ]
    assert homeless == [], "move it to errors.py, or say in its docstring what it never leaves"


def test_what_errors_offers_is_all_that_it_has():
    assert set(rtlab.errors.__all__) == {node.name for path, node in CLASSES if path == "errors.py"}
