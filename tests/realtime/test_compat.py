"""The private names that the server stands on: where one moves, the server says so instead of starting."""

import re
from importlib.metadata import requires
from pathlib import Path

import engineio
import pytest
import socketio
from packaging.requirements import Requirement

import rtlab.realtime
from rtlab.errors import UsageError
from rtlab.realtime import Server, compat

PACKAGE = Path(rtlab.realtime.__file__).parent


@pytest.fixture(autouse=True)
def unchecked():
    compat.check.cache_clear()
    yield
    compat.check.cache_clear()


def test_nothing_has_moved():
    assert compat.moved() == []


def test_a_name_that_has_gone_keeps_the_server_from_starting(monkeypatch):
    monkeypatch.delattr(socketio.AsyncServer, "_handle_ack")
    with pytest.raises(UsageError, match=r"AsyncServer\._handle_ack is gone"):
        Server()


def test_so_does_one_with_other_parameters(monkeypatch):
    monkeypatch.setattr(engineio.AsyncServer, "_cors_headers", lambda self, request, extra: None)
    expected = r"AsyncServer\._cors_headers\(self, request, extra\), expected \(self, environ\)"
    with pytest.raises(UsageError, match=expected):
        Server()


def test_so_does_an_attribute_that_has_gone(monkeypatch):
    monkeypatch.setitem(compat.ATTRIBUTES, "the manager", ("rooms", "halls"))
    with pytest.raises(UsageError, match=r"the manager has no halls"):
        Server()


@pytest.mark.parametrize("package", ["python-socketio", "python-engineio"])
def test_the_versions_are_bounded_from_above(package):
    (found,) = (each for each in map(Requirement, requires("rtlab") or ()) if each.name == package)
    assert any(each.operator == "<" for each in found.specifier)


def test_every_private_name_of_the_libraries_is_on_the_list():
    """What the package overrides, or calls on itself, and the libraries define with an underscore."""
    listed = {name for _, name in compat.NAMES}
    inherited = {
        name
        for owner in (socketio.AsyncServer, socketio.AsyncRedisManager, engineio.AsyncServer)
        for name in dir(owner)
        if name.startswith("_") and not name.startswith("__")
    }
    used = {
        name
        for path in PACKAGE.rglob("*.py")
        if path.name != "compat.py"
        for name in re.findall(
            r"(?:self\.(?:\w+\.)?|server\.|super\(\)\.|def )(_[a-z]\w*)", path.read_text(encoding="utf-8")
        )
    }
    used -= {name for names in compat.ATTRIBUTES.values() for name in names}
    assert used & inherited <= listed, sorted((used & inherited) - listed)
    assert {name for name in listed if name.startswith("_")} <= used
