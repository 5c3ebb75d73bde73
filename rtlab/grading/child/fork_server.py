"""The process that has imported a grader, from inside.

What lives here: ``python -m rtlab.grading.child.fork_server ORDERS GRADER``, and what makes a process of its own of
each check. ``launcher.py`` is the other side: it says why this is so, and what is said between the two. No line of a
submission's runs in this process while there can be forks.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from rtlab.grading.child.integrity import Tools
from rtlab.grading.child.loading import load_module
from rtlab.grading.child.runner import Channel, carry_out
from rtlab.grading.messages import Order, decode
from rtlab.servers.watchdog import PR_SET_PDEATHSIG, control

__all__ = ["FILE_BYTES", "main"]

FILE_BYTES = 64 * 1024 * 1024
"""Bytes that any file written by the submission may have. `CheckRun` looks every 50 ms; this holds for what it
misses."""
ORDER_BYTES = 64 * 1024
"""Bytes that are taken of an order at a time. One has some hundred."""


def main(arguments: list[str]) -> NoReturn:
    """Import the grader and make a process for each order, until there are no more.

    Arguments: the descriptor of the socket that orders come from, the grader's path.
    """
    orders = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(orders.fileno(), False)
    grader = Path(arguments[1])
    loaded = _load(grader)
    tools = Tools(loaded if isinstance(loaded, ModuleType) else sys.modules[__name__])
    forks = _may_fork()
    gc.freeze()  # so that a collection in a check does not look at what was imported
    child = 0
    while True:
        order, descriptors = _next_order(orders)
        if child:
            os.waitpid(child, 0)
        child = os.fork() if forks else 0
        if not child:
            try:
                _become_check(orders, order.directory, descriptors[1], forked=forks)
                carry_out(order, Channel(descriptors[0], order.token), grader, loaded, tools)
            except BaseException:  # noqa: BLE001 - whatever it is, this must not become a second reader of orders
                traceback.print_exc()
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
        _tell_end(orders, child)


def _load(grader: Path) -> ModuleType | BaseException:
    """The grader, or why it cannot be imported: each check of it says so."""
    try:
        return load_module(grader, grader.read_bytes())
    except BaseException as error:  # noqa: BLE001 - whatever it is, the learner is not to blame
        return error


def _may_fork() -> bool:
    """Whether this process bears being forked: on Linux, and with no thread beside this one, Python's or not."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - only how many


def _next_order(orders: socket.socket) -> tuple[Order, list[int]]:
    """Wait for an order. Ends the process if there are no more."""
    line, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, 2)
    while not line.endswith(b"\n"):
        more = orders.recv(ORDER_BYTES)
        if not more:
            os._exit(0)
        line += more
    order = decode(line)
    assert isinstance(order, Order)
    return order, descriptors


def _become_check(orders: socket.socket, directory: str, output: int, *, forked: bool) -> None:
    """Turn this process into that of one check: in a session and a directory of its own, and able to print."""
    if forked:
        os.setsid()
        control(PR_SET_PDEATHSIG, signal.SIGKILL)  # whoever ends the process that this one comes from ends this one
    orders.sendall(f"started {os.getpid()}\n".encode())
    orders.close()
    os.chdir(directory)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    _limit_files()


def _tell_end(orders: socket.socket, child: int) -> None:
    """Wait for the end of a check and say how it ended. It stays a zombie."""
    result = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert result is not None
    status = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
    orders.sendall(f"exit {status}\n".encode())


def _limit_files() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = FILE_BYTES if hard == resource.RLIM_INFINITY else min(FILE_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
