"""The Real-Time Lab: what the course on WebSockets and Socket.IO stands on, for notebooks and for scripts.

Importing this loads next to nothing. Every public name below comes on first use, from the floor that it lives on
(CONTRIBUTING.md shows the floors).
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rtlab import chat as chat
    from rtlab import realtime as realtime
    from rtlab.errors import ChildError as ChildError
    from rtlab.errors import MissingProgramError as MissingProgramError
    from rtlab.errors import RtlabError as RtlabError
    from rtlab.errors import UnsupportedPlatformError as UnsupportedPlatformError
    from rtlab.errors import UsageError as UsageError
    from rtlab.grading.report import grade as grade
    from rtlab.instruments.checking.checker import check as check
    from rtlab.instruments.checking.history import ObservedHistory as History
    from rtlab.instruments.checking.recorder import HistoryRecorder as HistoryRecorder
    from rtlab.instruments.doctor.doctor import diagnose as diagnose
    from rtlab.instruments.faults.proxy import FaultProxy as FaultProxy
    from rtlab.instruments.faults.proxy import fault_proxy as fault_proxy
    from rtlab.instruments.faults.proxy import start_fault_proxy as start_fault_proxy
    from rtlab.instruments.transcript.transcript import Transcript as Transcript
    from rtlab.instruments.wiretap.tap import Tap as Tap
    from rtlab.instruments.wiretap.tap import start_tap as start_tap
    from rtlab.instruments.wiretap.tap import tap as tap
    from rtlab.scale.cluster import Cluster as Cluster
    from rtlab.scale.launching import cluster as cluster
    from rtlab.scale.launching import start_cluster as start_cluster
    from rtlab.servers.hosting import HostedServer as Server
    from rtlab.servers.hosting import serve as serve
    from rtlab.servers.hosting import start as start
    from rtlab.servers.javascript import NodeRun as NodeRun
    from rtlab.servers.javascript import node as node
    from rtlab.servers.javascript import node_server as node_server
    from rtlab.servers.javascript import start_node as start_node
    from rtlab.servers.registry import resources as resources

__version__ = "0.1.0"

_HOMES = {
    "ChildError": "rtlab.errors",
    "Cluster": "rtlab.scale.cluster",
    "History": "rtlab.instruments.checking.history:ObservedHistory",
    "HistoryRecorder": "rtlab.instruments.checking.recorder",
    "FaultProxy": "rtlab.instruments.faults.proxy",
    "MissingProgramError": "rtlab.errors",
    "NodeRun": "rtlab.servers.javascript",
    "RtlabError": "rtlab.errors",
    "Server": "rtlab.servers.hosting:HostedServer",
    "Tap": "rtlab.instruments.wiretap.tap",
    "Transcript": "rtlab.instruments.transcript.transcript",
    "UnsupportedPlatformError": "rtlab.errors",
    "UsageError": "rtlab.errors",
    "check": "rtlab.instruments.checking.checker",
    "cluster": "rtlab.scale.launching",
    "diagnose": "rtlab.instruments.doctor.doctor",
    "fault_proxy": "rtlab.instruments.faults.proxy",
    "grade": "rtlab.grading.report",
    "node": "rtlab.servers.javascript",
    "node_server": "rtlab.servers.javascript",
    "resources": "rtlab.servers.registry",
    "serve": "rtlab.servers.hosting",
    "start": "rtlab.servers.hosting",
    "start_cluster": "rtlab.scale.launching",
    "start_fault_proxy": "rtlab.instruments.faults.proxy",
    "start_node": "rtlab.servers.javascript",
    "start_tap": "rtlab.instruments.wiretap.tap",
    "tap": "rtlab.instruments.wiretap.tap",
}

__all__ = [
    "ChildError",
    "Cluster",
    "FaultProxy",
    "History",
    "HistoryRecorder",
    "MissingProgramError",
    "NodeRun",
    "RtlabError",
    "Server",
    "Tap",
    "Transcript",
    "UnsupportedPlatformError",
    "UsageError",
    "__version__",
    "check",
    "cluster",
    "diagnose",
    "fault_proxy",
    "grade",
    "node",
    "node_server",
    "resources",
    "serve",
    "start",
    "start_cluster",
    "start_fault_proxy",
    "start_node",
    "start_tap",
    "tap",
]


_PACKAGES = ("chat", "realtime")
"""Packages that are public as a whole: ``rtlab.realtime.Server``."""


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return import_module(f"rtlab.{name}")
    if name in _HOMES:
        module, _, attribute = _HOMES[name].partition(":")
        value = getattr(import_module(module), attribute or name)
        globals()[name] = value
        return value
    if name.startswith("_"):
        raise AttributeError(name)
    return _refuse(name)


def _refuse(name: str) -> NoReturn:
    """Say which name was meant. Of an AttributeError, ``from rtlab import tapp`` would show another message."""
    errors = import_module("rtlab.errors")
    error = errors.MissingAttributeError("The package rtlab", name, [*__all__, *_PACKAGES])
    # who asks is two calls up: for ``from … import``, a function of the import system (`_handle_fromlist`)
    asked_by_import = sys._getframe(2).f_code.co_name == "_handle_fromlist"  # noqa: SLF001 - nothing else tells
    if asked_by_import and find_spec(f"rtlab.{name}") is None:
        raise ImportError(str(error), name="rtlab")
    raise error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
