"""Doctor: what the lab needs, what of it is here, and what to do about the rest.

What lives here: `diagnose`, which runs the probes one by one. A probe that fails or hangs becomes a line; nothing
that is wrong with a machine may end in a stack trace, for a stack trace is no help to whoever asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from rtlab.errors import RtlabError
from rtlab.instruments.doctor.diagnosis import Diagnosis, Finding, Status
from rtlab.instruments.doctor.probes import PROBE_S, PROBES
from rtlab.servers.registry import TICK_S

__all__ = ["diagnose"]

T = TypeVar("T")


def diagnose(progress: Callable[[str], None] | None = None) -> Diagnosis:
    """Look at everything that the lab needs. Takes two seconds or so.

    It can be called anywhere, in a notebook too: what needs an event loop runs in one of its own.

    Args:
        progress: called with the name of each thing before it is looked at.
    """
    checks = []
    for name, probe in PROBES.items():
        if progress is not None:
            progress(name)
        checks.append(_examine(name, probe))
    return Diagnosis(tuple(checks))


def _examine(name: str, probe: Callable[[], Finding] | Callable[[], Awaitable[Finding]]) -> Finding:
    """What a probe says, or what went wrong in it."""
    advice = ""
    try:
        found = probe()
        return found if isinstance(found, Finding) else _run(_within(PROBE_S, found))
    except TimeoutError:
        problem = f"no answer within {PROBE_S:g} s"
    except ImportError as error:
        package = (error.name or "a package").partition(".")[0]
        problem = f"needs the package {package}, which is not installed"
        advice = f"Run `make install` in the course's folder, or `pip install {package}`."
    except RtlabError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what there is to report
        problem = f"{type(error).__name__}: {error}"
    return Finding(name, Status.MISSING, problem, advice, required=name != "Chromium")


async def _within(seconds: float, awaitable: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await awaitable


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, which cannot be called where an event loop runs already, as in a notebook. There it gets a
    thread of its own, and we wait for that; the interrupt button ends both."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    ended = threading.Event()

    def run() -> None:
        with contextlib.suppress(BaseException), contextlib.closing(loop):  # the task keeps what went wrong
            loop.run_until_complete(task)
        ended.set()

    thread = threading.Thread(target=run, name="rtlab doctor", daemon=True)
    try:
        thread.start()
        while not ended.wait(TICK_S):
            pass  # a signal that another thread has received is noticed when this one wakes up
    except KeyboardInterrupt:
        with contextlib.suppress(RuntimeError):  # the loop has just been closed: nothing is left to cancel
            loop.call_soon_threadsafe(task.cancel)
        ended.wait(PROBE_S)
        raise
    thread.join()
    return task.result()
