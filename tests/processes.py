"""Processes that may end while one looks at them: one that has gone is no error, and a zombie does not run.

What lives here: `runs`, and `below`, the descendants of a process with their command lines.
"""

import psutil

__all__ = ["below", "runs"]


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def below(pid: int | None = None) -> dict[psutil.Process, list[str]]:
    """The processes below one, or below this one, that have not ended, with the command line of each."""
    found = {}
    for each in psutil.Process(pid).children(recursive=True):
        try:
            found[each] = each.cmdline()
        except psutil.NoSuchProcess:  # a zombie too
            continue
    return found
