"""The log of the chat as a program: one JSON object a line, whatever goes wrong.

What lives here: `log_as_json`. It must not know what is logged. That it cannot be made to grow is `SummedHandler`'s
job.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import threading
from types import TracebackType

from pythonjsonlogger.json import JsonFormatter

from rtlab.servers.summed import SummedHandler

__all__ = ["log_as_json"]

logger = logging.getLogger(__name__)

WANTED = "%(asctime)s %(levelname)s %(name)s %(message)s"


def log_as_json() -> None:
    """Write everything that is logged to standard error, one JSON object a line; what repeats is summed up.

    Warnings are logged too, and exceptions that nobody has caught: in this thread, in others, and while something is
    being collected.
    """
    handler = SummedHandler(sys.stderr)
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    strict = functools.partial(json.dumps, allow_nan=False)  # NaN is no JSON
    handler.setFormatter(
        JsonFormatter(WANTED, rename_fields=renamed, datefmt="%Y-%m-%dT%H:%M:%S%z", json_serializer=strict)
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logger.critical("uncaught exception", exc_info=(kind, error, traceback))


def _in_thread(raised: threading.ExceptHookArgs) -> None:
    error = raised.exc_value or raised.exc_type()
    logger.error("uncaught exception in a thread", exc_info=(raised.exc_type, error, raised.exc_traceback))


def _unraisable(raised: sys.UnraisableHookArgs) -> None:
    error = raised.exc_value or raised.exc_type()
    logger.error("%s", raised.err_msg or "uncaught exception", exc_info=(raised.exc_type, error, raised.exc_traceback))
