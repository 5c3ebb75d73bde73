"""The Real-Time Lab: what the course on WebSockets and Socket.IO stands on, for notebooks and for scripts.

Importing this loads next to nothing. Every public name below comes on first use, from the floor that it lives on
(CONTRIBUTING.md shows the floors).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtlab import chat as chat
    from rtlab import realtime as realtime
    from rtlab.errors import ChildError as ChildError
    from rtlab.errors import MissingProgramError as MissingProgramError
    from rtlab.errors import RtlabError as RtlabError
    from rtlab.errors import UnsupportedPlatformError as UnsupportedPlatformError
    from rtlab.errors import UsageError as UsageError
    from rtlab.grading.report import grade as grade
    from rtlab.instruments.doctor.doctor import diagnose as diagnose
    from rtlab.instruments.transcript.transcript import Transcript as Transcript
    from rtlab.instruments.wiretap.tap import Tap as Tap
    from rtlab.instruments.wiretap.tap import start_tap as start_tap
    from rtlab.instruments.wiretap.tap import tap as tap
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
    "MissingProgramError": "rtlab.errors",
    "NodeRun": "rtlab.servers.javascript",
    "RtlabError": "rtlab.errors",
    "Server": "rtlab.servers.hosting:HostedServer",
    "Tap": "rtlab.instruments.wiretap.tap",
    "Transcript": "rtlab.instruments.transcript.transcript",
    "UnsupportedPlatformError": "rtlab.errors",
    "UsageError": "rtlab.errors",
    "diagnose": "rtlab.instruments.doctor.doctor",
    "grade": "rtlab.grading.report",
    "node": "rtlab.servers.javascript",
    "node_server": "rtlab.servers.javascript",
    "resources": "rtlab.servers.registry",
    "serve": "rtlab.servers.hosting",
    "start": "rtlab.servers.hosting",
    "start_node": "rtlab.servers.javascript",
    "start_tap": "rtlab.instruments.wiretap.tap",
    "tap": "rtlab.instruments.wiretap.tap",
}

__all__ = [
    "ChildError",
    "MissingProgramError",
    "NodeRun",
    "RtlabError",
    "Server",
    "Tap",
    "Transcript",
    "UnsupportedPlatformError",
    "UsageError",
    "__version__",
    "diagnose",
    "grade",
    "node",
    "node_server",
    "resources",
    "serve",
    "start",
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
    raise AttributeError(f"module 'rtlab' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
