"""SECURITY.md says what is so: each limit has the value that it names, and each row the test that holds it."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from rtlab.chat import Limits

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
LIMITS = re.findall(r"`([\w.]+)` = ([\d.]+)", TEXT)
HELD_BY = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and "tests/" in line]


def test_there_is_something_to_look_at():
    assert len(LIMITS) > 20
    assert len(ROWS) > 20
    assert len(HELD_BY) == len(ROWS), "every row names a test"


@pytest.mark.parametrize(("name", "value"), LIMITS)
def test_a_limit_has_the_value_that_it_says(name, value):
    where, _, last = name.rpartition(".")
    if where == "Limits":
        (found,) = (each.default for each in dataclasses.fields(Limits) if each.name == last)
    else:
        found = getattr(importlib.import_module(where), last)
    assert str(found) == value


@pytest.mark.parametrize(("path", "name"), HELD_BY)
def test_a_row_is_held_by_a_test_that_there_is(path, name):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
