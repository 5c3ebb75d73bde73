"""A connection that has ended, in words.

What lives here: `ConnectionEndedError`, which a grader raises (`harness.ConnectionEnd` does) where a connection ended
instead of bringing what was awaited, and `ended`, which puts that, and the exception of `websockets`, into words. It
imports no library: what was not imported cannot have raised anything.
"""

from __future__ import annotations

import sys

from rtlab.grading.code_origin import shorten

__all__ = ["ConnectionEndedError", "ended"]


class ConnectionEndedError(ConnectionError):
    """A connection ended while something was awaited on it. Never leaves the process of a check.

    Args:
        reason: what the library calls it: "server disconnect". May be empty.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(f"the connection ended ({reason})" if reason else "the connection ended")


def ended(error: BaseException) -> str:
    """What an exception says about the end of a connection; empty if it is about something else.

    "the connection ended instead: the server closed it with code 1011 (reason: 'no room')".
    """
    if isinstance(error, ConnectionEndedError):
        return "the connection ended instead" + (f": {shorten(error.reason)}" if error.reason else "")
    library = sys.modules.get("websockets.exceptions")
    if library is None or not isinstance(error, library.ConnectionClosed):
        return ""
    for close, who in ((error.rcvd, "the server closed it"), (error.sent, "the client closed it")):
        if close is not None and (error.rcvd_then_sent is not False or close is error.sent):
            reason = f" (reason: {shorten(repr(close.reason))})" if close.reason else ""
            return f"the connection ended instead: {who} with code {close.code}{reason}"
    return "the connection ended instead: it was cut without a close frame"
