"""The chat's log: one JSON object a line, whatever goes wrong."""

import json
import subprocess
import sys

from deadlines import WAIT_S

SCRIPT = r"""
import asyncio, logging, math, sys, threading, warnings
from rtlab.chat.log import log_as_json

log_as_json()
logger = logging.getLogger("a.logger")
circle = {}
circle["itself"] = circle

class Unprintable:
    def __str__(self):
        raise RuntimeError("not today")
    __repr__ = __str__

class Unraisable:
    def __del__(self):
        raise RuntimeError("while it is collected")

logger.info("two\nlines\r\nand \u2028 more")
logger.info("half an emoji: \ud83d", extra={"half": "\ud83d"})
logger.info("extras", extra={"nan": math.nan})
logger.info("extras of many types", extra={"a": object(), "b": b"\xff", "c": {1, 2}, "d": ValueError("e"), "f": int})
logger.info("a circle", extra={"circle": circle})
logger.info("unprintable", extra={"it": Unprintable()})
logger.info("%s", Unprintable())
logger.info("%d", "no number")
logger.info({"a": "dict"})
logger.error("with a traceback", exc_info=ValueError("line one\nline two \ud83d"))
warnings.warn("a warning\nof two lines")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
Unraisable()

async def main():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    asyncio.ensure_future(asyncio.sleep(0, 1 / 1)).add_done_callback(lambda _: 1 / 0)
    for _ in range(5):
        await asyncio.sleep(0)

asyncio.run(main())
for number in range(10_000):
    logging.getLogger("aiohttp.server").error("refused %d", number, exc_info=ValueError("x"))
raise SystemError("the last")
"""


def test_each_line_is_a_json_object():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, timeout=WAIT_S, check=False)
    assert done.returncode == 1
    assert done.stdout == b""

    def no_constant(name):
        raise AssertionError(f"{name} is no JSON")

    log = [json.loads(line, parse_constant=no_constant) for line in done.stderr.decode("ascii").splitlines()]
    assert all({"time", "level", "logger", "message"} <= each.keys() for each in log)
    said = [each["message"] for each in log]
    assert "two\nlines\r\nand \u2028 more" in said
    assert "half an emoji: \ud83d" in said
    assert sum("could not be logged" in each for each in said) == 4
    raised = "\n".join(each.get("exc_info", "") for each in log)
    assert raised.count("ZeroDivisionError") == 3
    for each in ("line two", "while it is collected", "SystemError: the last"):
        assert each in raised
    assert any("UserWarning: a warning\nof two lines" in each for each in said)
    refused = [each for each in log if each["logger"] == "aiohttp.server"]
    assert refused[-1]["repeated"] == 10_000 - (len(refused) - 1)
    assert len(json.dumps(refused)) < 20_000
