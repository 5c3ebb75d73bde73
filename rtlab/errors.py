"""The exception tree of rtlab.

What lives here: every exception that a caller of rtlab may meet, and so catch. (Those that one module raises for
another to catch stand where they are raised, and say that they never leave it.) It knows nothing of the rest of the
package; each floor may import it. An exception carries its data and composes its message from it: what was expected,
what came, and what to do next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

__all__ = [
    "ChatError",
    "ChatRefusedError",
    "ChatUnansweredError",
    "ChildError",
    "ConnectionClosed",
    "HandshakeError",
    "InvalidToken",
    "MissingAttributeError",
    "MissingProgramError",
    "PeerError",
    "ProtocolError",
    "RedisUnavailable",
    "ReservedRoomError",
    "RtlabError",
    "TlsError",
    "UnknownOptionError",
    "UnsupportedPlatformError",
    "UsageError",
]


class RtlabError(Exception):
    """The root of everything that rtlab raises."""


class UsageError(RtlabError):
    """The caller asked for something that cannot be done this way; the message says which way works."""


class ReservedRoomError(UsageError, ValueError):
    """A room was named like a socket. Also a ValueError, which python-socketio raises for a socket of its own."""


class MissingAttributeError(UsageError, AttributeError):
    """An object has no such attribute, or not yet. Also an AttributeError, so that `hasattr` works."""

    def __init__(self, owner: str, name: str, known: Iterable[str] = (), *, advice: str = "") -> None:
        self.owner = owner
        """What has no such attribute, in words: "A Server"."""
        super().__init__(f"{owner} has no attribute {name!r}. {advice or _nearest(name, known)}")
        self.name = name
        """The attribute. (Python sets this where it is None, and then adds a "Did you mean" of its own.)"""


class UnknownOptionError(UsageError, TypeError):
    """A call has no such option. Also a TypeError, which Python raises for a call of its own."""

    def __init__(self, call: str, name: str, known: Iterable[str]) -> None:
        self.call = call
        """What was called: "Guards"."""
        self.name = name
        """The option."""
        super().__init__(f"{call}({name}=…): there is no such option. {_nearest(name, known)}")

    @classmethod
    def refuse(cls, call: str, given: Iterable[str], known: Collection[str]) -> None:
        """Raise it for the first of the given names that is not known."""
        for name in given:
            if name not in known:
                raise cls(call, name, known)


def _nearest(name: str, names: Iterable[str]) -> str:
    """A sentence for a name that does not exist: the nearest of those that do, or all of them."""
    from difflib import get_close_matches

    known = sorted(names)
    near = get_close_matches(name, known, n=2)
    near = near or [each for each in known if each.lower() in get_close_matches(name.lower(), map(str.lower, known), 1)]
    near = near or [each for each in known if len(name) > 2 and name.lower() in each.lower()]
    return f"Did you mean {' or '.join(map(repr, near[:2]))}?" if near else f"There are: {', '.join(known)}."


class UnsupportedPlatformError(RtlabError):
    """This operating system lacks what the feature stands on."""

    def __init__(self, feature: str, platform: str, advice: str) -> None:
        self.feature = feature
        self.platform = platform
        self.advice = advice
        super().__init__(f"{feature} does not work on {platform}. {advice}")


class MissingProgramError(RtlabError):
    """A program that the lab starts is not on this machine."""

    def __init__(self, program: str, advice: str) -> None:
        self.program = program
        self.advice = advice
        super().__init__(f"{program} was not found. {advice}")


class ChildError(RtlabError):
    """A child process failed: it could not start, was not ready in time, or ended when it should not."""

    def __init__(self, name: str, problem: str, tail: Sequence[str] = ()) -> None:
        self.name = name
        """What the child is, in words: "Valkey", "worker chat:app"."""
        self.problem = problem
        """What went wrong, with the exit status where there is one."""
        self.tail = tuple(tail)
        """The last lines of its output."""
        lines = [f"{name} {problem}"]
        if tail:
            lines += ["Its last lines:", *(f"  {line}" for line in tail)]
        super().__init__("\n".join(lines))


class PeerError(RtlabError):
    """The other end of a connection broke the rules, or gave up. Never the caller's fault."""


class HandshakeError(PeerError):
    """An opening handshake that cannot succeed. A server answers it with `status` and `headers`."""

    def __init__(self, problem: str, *, rule: str, status: int = 400, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.problem = problem
        """What was expected and what came."""
        self.rule = rule
        """The section that says so: "RFC 6455 §4.2.1"."""
        self.status = status
        """The HTTP status that refuses it (RFC 9110 §15). A client that raises this received it."""
        self.headers = tuple(headers)
        """Header fields that belong to the refusal, names and values."""
        super().__init__(f"{problem} ({rule})")


class TlsError(PeerError, OSError):
    """There is no TLS with a server: its certificate is not to be trusted, or it speaks none. Also an OSError, like
    every other reason for which there is no connection."""

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        """The server: "chat.example:443"."""
        self.problem = problem
        """What is wrong, and what to do."""
        super().__init__(f"no TLS with {where}: {problem}")


class ProtocolError(PeerError):
    """The peer sent what it must not. The connection is failed with `code` (RFC 6455 §7.1.7)."""

    def __init__(self, problem: str, *, rule: str, code: int = 1002) -> None:
        self.problem = problem
        """What was expected and what came. Short enough for a close frame's reason: at most 123 bytes."""
        self.rule = rule
        """The section that says so: "RFC 6455 §5.2"."""
        self.code = code
        """The close code to send (RFC 6455 §7.4.1)."""
        super().__init__(f"{problem} ({rule})")


class RedisUnavailable(PeerError):  # noqa: N818 - as HTTP says it: 503 Service Unavailable
    """The Redis that several processes share does not do what it is asked: away, frozen, slow, full or read-only."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        """Which one, without its password."""
        self.problem = problem
        """What came instead of an answer."""
        super().__init__(f"expected an answer of Redis at {url}, got: {problem}")


class ConnectionClosed(PeerError):  # noqa: N818 - the field's own name for it, as in websockets and aiohttp
    """A WebSocket connection has ended: nothing more can be received or sent."""

    def __init__(self, code: int, reason: str = "", *, clean: bool = True) -> None:
        self.code = code
        """The close code; 1005 if the peer gave none, 1006 if it left without a word (RFC 6455 §7.1.5)."""
        self.reason = reason
        """The close reason."""
        self.clean = clean
        """Whether close frames went both ways (§7.1.4)."""
        how = "closed" if clean else "lost"
        super().__init__(f"the connection was {how} with code {code}" + (f" ({reason})" if reason else ""))


class ChatError(PeerError):
    """The chat did not do what was asked: it refused, did not answer, or is gone."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        """One word: ``not_a_member``, ``rate_limited`` … from the server; ``timeout``, ``gone``, ``unreachable``."""
        self.message = message
        """What was expected and what came."""
        super().__init__(f"{message} ({code})")


class ChatRefusedError(ChatError):
    """The chat does not let this client in: ``token_missing``, ``token_invalid``, ``token_expired``."""


class ChatUnansweredError(ChatError):
    """No answer came: in time (``timeout``), before the connection ended (``gone``, ``cut``), or one that means nothing
    (``unknown``). Whether it was done is unknown."""


class InvalidToken(PeerError):  # noqa: N818 - the contract's own words
    """A token that does not show who its bearer is."""

    def __init__(self, code: str, problem: str) -> None:
        self.code = code
        """``token_expired``, or ``token_invalid`` for every other reason."""
        self.problem = problem
        """What is wrong, for the log."""
        super().__init__(problem)
