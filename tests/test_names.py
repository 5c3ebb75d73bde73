"""Each thing has one name and one home: classes, and the exceptions that a caller may meet."""

import ast
import builtins
import re
from collections import defaultdict
from pathlib import Path

import pytest

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


PACKAGES = [path for path, tree in TREES.items() if path.endswith("__init__.py") and ast.get_docstring(tree)]


def stations(docstring: str) -> list[str]:
    """What a package's docstring says is one of its modules, files or names."""
    files = re.findall(r"(?<![\w/])(?:\.\./)?(?:\w+/)*\w+\.py\b", docstring)
    return [*files, *re.findall(r"(?<!`)`([a-z_.A-Z]+)`(?!`)", docstring)]


@pytest.mark.parametrize("path", PACKAGES)
def test_the_stations_of_a_journey_are_there(path):
    """A docstring that names a module which has moved sends its reader astray."""
    folder = (PACKAGE / path).parent
    sources = "\n".join(each.read_text() for each in folder.rglob("*.py") if each.name != "__init__.py")
    lost = []
    for name in stations(ast.get_docstring(TREES[path])):
        if name.endswith(".py"):
            found = any((base / name).resolve().is_file() for base in (folder, folder.parent, PACKAGE))
        else:
            head, _, tail = name.removeprefix("rtlab.").partition(".")
            found = (folder / f"{head}.py").is_file() or (folder / head).is_dir() or (PACKAGE / head).exists()
            found = found or re.search(
                rf"(def|class) {head}\b|^{head}\b.*=|self\.{head}\b|import {head}\b", sources, re.M
            )
            found = found or head in rtlab.__all__
            if found and tail:
                found = re.search(rf"\b{tail.rpartition('.')[2]}\b", sources)
        if not found:
            lost.append(name)
    assert lost == []
