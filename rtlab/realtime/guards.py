"""What the server guards against, and where each guard has its switch.

What lives here: `Guards`, one field for each guard. It must not know how a guard works; `rules` and the others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from rtlab.errors import UsageError
from rtlab.realtime.limits import (
    ATTACHMENTS_TIMEOUT_S,
    BYTES_PER_S,
    CONNECT_TIMEOUT_S,
    HEAD_BYTES,
    MAX_HANDLERS,
    MAX_NAMESPACES,
    MAX_PACKETS_PER_PAYLOAD,
    MAX_QUEUED_BYTES,
    MAX_UNADMITTED,
    MAX_UNADMITTED_PER_ADDRESS,
    PACKETS_PER_S,
    WORK_SHARE,
)
from rtlab.wire.socketio import MAX_ATTACHMENTS

__all__ = ["Guards"]


@dataclass(frozen=True, kw_only=True)
class Guards:
    """Each gap of python-socketio that `Server` closes. True or a number closes it; False or None leaves it open.

    Four fields are settings and no gaps: `max_attachments`, `trusted_proxies`, `compress_over` and `kept_headers`.

    `Guards.none()` leaves all of them open, which is how a test shows that a guard is what makes the difference.

    Raises:
        UsageError: a limit that is no positive number, or a proxy that is no address or network.
    """

    connect_timeout_s: float | None = CONNECT_TIMEOUT_S
    """Seconds after which a session that is in no namespace is closed, however often it asks to be let in."""
    strict_packets: bool = True
    """A packet that is malformed, of an unknown type, or for a namespace never joined closes its connection."""
    max_attachments: int = MAX_ATTACHMENTS
    """Binary attachments that a packet may announce, where packets are strict."""
    attachments_timeout_s: float | None = ATTACHMENTS_TIMEOUT_S
    """Seconds that a packet may wait for its attachments, where packets are strict."""
    reserved_events: bool = True
    """An event that a client calls "connect", "disconnect" or the like closes its connection; "*" is no wildcard."""
    hold_until_connected: bool = True
    """What is sent to a socket while its connect handler runs waits for the outcome: delivered after, or never."""
    refuse_on_error: bool = True
    """A connect handler that raises refuses; a disconnect handler that raises still lets go. Neither leaves a ghost."""
    refuse_on_disconnect: bool = True
    """`Server.disconnect` inside a connect handler refuses. python-socketio passes it over and lets the client in."""
    name_unknown_namespaces: bool = True
    """A namespace that is not there is answered "Invalid namespace", as Node does."""
    empty_target_is_nobody: bool = True
    """``to=[]`` and ``to=""`` send to nobody. python-socketio sends to everybody."""
    reserve_socket_ids: bool = True
    """Nobody enters a room that is named like a socket, except that socket; nobody closes it."""
    max_queued_bytes: int | None = MAX_QUEUED_BYTES
    """Bytes of memory that may wait for one client. A client that is slower is cut off, and the log says so."""
    real_peer_address: bool = True
    """REMOTE_ADDR in the environment is the peer's, and only a trusted proxy may say whom it speaks for."""
    trusted_proxies: Sequence[str] = ()
    """Addresses and networks whose X-Forwarded-… headers are believed: ("127.0.0.1", "10.0.0.0/8")."""
    compress_over: int | None = None
    """Bytes from which a WebSocket message is compressed (permessage-deflate). None: the extension is declined."""
    whole_ping_interval: bool = True
    """A ping interval that is no whole number of seconds, or is longer than an hour, is refused at the start."""
    max_packets_per_payload: int | None = MAX_PACKETS_PER_PAYLOAD
    """Packets in one POST. More are answered with 413 and the session closed, never silently dropped."""

    bound_unadmitted: bool = True
    """A client that is in no namespace sends little: `limits.UNADMITTED_BYTES` in all. More closes its connection."""
    max_unadmitted: int | None = MAX_UNADMITTED
    """Sessions that are in no namespace, in all. Others take a place from those who have most, or who have waited for
    long; or are answered with 503."""
    max_unadmitted_per_address: int | None = MAX_UNADMITTED_PER_ADDRESS
    """Of these, sessions of one address. Behind a proxy, name it in `trusted_proxies`: else all have its address."""
    packets_per_s: float | None = PACKETS_PER_S
    """Packets of one connection per second. Four seconds' worth may come at once; then it is read more slowly."""
    bytes_per_s: float | None = BYTES_PER_S
    """Bytes of one connection per second, in the same way."""
    work_share: float | None = WORK_SHARE
    """Share of a processor core that reading the large packets of one connection takes. Then it waits."""
    max_handlers: int | None = MAX_HANDLERS
    """Handlers of one client's events at the same time. Then its next event waits, and reading from it pauses."""
    max_namespaces: int | None = MAX_NAMESPACES
    """Namespaces that one connection may ask for. More are refused."""
    max_head_bytes: int | None = HEAD_BYTES
    """Bytes of a request's head. More are answered with 431."""
    kept_headers: Sequence[str] | None = None
    """Header fields that a session's environment has, by name: "User-Agent". None keeps them all, and the request
    itself (``aiohttp.request``), as python-socketio does."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
                raise UsageError(
                    f"Guards({each.name}={value!r}): expected a positive number, or None to leave it open."
                )
        object.__setattr__(self, "trusted_proxies", tuple(self.trusted_proxies))
        _ = self.proxies

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`trusted_proxies` as networks."""
        try:
            return tuple(ip_network(each) for each in self.trusted_proxies)
        except ValueError as error:
            raise UsageError(f"Guards(trusted_proxies=…): {error}. Expected addresses or networks.") from None

    @classmethod
    def none(cls) -> Guards:
        """No guard at all: what is left is python-socketio's behaviour, on our transports."""
        return cls(
            connect_timeout_s=None, strict_packets=False, attachments_timeout_s=None, reserved_events=False,
            hold_until_connected=False, refuse_on_error=False, refuse_on_disconnect=False,
            name_unknown_namespaces=False, empty_target_is_nobody=False, reserve_socket_ids=False,
            max_queued_bytes=None, real_peer_address=False, whole_ping_interval=False, max_packets_per_payload=None,
            bound_unadmitted=False, max_unadmitted=None, max_unadmitted_per_address=None, packets_per_s=None,
            bytes_per_s=None, work_share=None, max_handlers=None, max_namespaces=None, max_head_bytes=None,
        )  # fmt: skip

    def without(self, *names: str) -> Guards:
        """These guards except the named ones."""
        off = self.none()
        return replace(self, **{name: getattr(off, name) for name in names})
