"""What the server guards against, and where each guard has its switch.

What lives here: `Guards`, one field for each guard. It must not know how a guard works; `rules` and the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Self

from rtlab.errors import UnknownOptionError, UsageError
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


def _positive(value: object, *kinds: type) -> bool:
    """A number of this kind; True is none, and neither is "not a number"."""
    return isinstance(value, kinds) and not isinstance(value, bool) and value > 0  # type: ignore[operator]


def _names(value: object) -> bool:
    """Several strings. One string would be several of one letter each."""
    return isinstance(value, Collection) and not isinstance(value, str) and all(isinstance(each, str) for each in value)


KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "int": ("a positive number without a fraction", lambda value: _positive(value, int)),
    "int | None": (
        "a positive number without a fraction, or None to leave it open",
        lambda value: value is None or _positive(value, int),
    ),
    "float | None": (
        "a positive number, or None to leave it open",
        lambda value: value is None or _positive(value, int, float),
    ),
    "Sequence[str]": ("several strings, in a tuple or a list", _names),
    "Sequence[str] | None": (
        "several strings, in a tuple or a list, or None",
        lambda value: value is None or _names(value),
    ),
}
"""What a field of each type takes: in words, and as a test."""


@dataclass(frozen=True, kw_only=True)
class Guards:
    """Each gap of python-socketio that `Server` closes. True or a number closes it; False or None leaves it open.

    Four fields are settings and no gaps: `max_attachments`, `trusted_proxies`, `compress_over` and `kept_headers`.

    `Guards.none()` leaves all of them open, which is how a test shows that a guard is what makes the difference;
    `Guards().without("strict_packets")` leaves one open. A guard that closes a connection, or refuses one, says so in
    the log "rtlab.realtime", as a warning.

    Attributes:
        connect_timeout_s: Seconds (default 45.0). A client that is in no namespace for so long is closed, however
            often it asks to be let in.
        strict_packets: Switch (default True). A packet that is malformed, of an unknown type, or for a namespace that
            its client never joined closes the connection.
        max_attachments: Number (default 10). Binary attachments that one packet may announce, where packets are strict.
        attachments_timeout_s: Seconds (default 20.0). A packet whose attachments have not arrived by then closes the
            connection, where packets are strict.
        reserved_events: Switch (default True). A client that calls an event "connect", "disconnect" or the like is
            closed. An event called "*" reaches no handler but the catch-all, as any other unknown name.
        hold_until_connected: Switch (default True). What you send to a client while its connect handler runs is held:
            it is delivered once the client is let in, and dropped if it is refused.
        refuse_on_error: Switch (default True). A connect handler that raises refuses the client. After a disconnect
            handler that raises, the client is removed all the same.
        refuse_on_disconnect: Switch (default True). `Server.disconnect(sid)` inside a connect handler refuses the
            client. python-socketio ignores the call and lets the client in.
        name_unknown_namespaces: Switch (default True). A client that asks for a namespace that does not exist is
            answered "Invalid namespace", as Node does.
        empty_target_is_nobody: Switch (default True). ``emit(…, to=[])`` and ``to=""`` send to nobody. python-socketio
            sends to everybody.
        reserve_socket_ids: Switch (default True). No client can be put into a room that is named like another client's
            socket id, and nobody can close such a room.
        max_queued_bytes: Bytes of memory (default 4_194_304). A client that reads so slowly that more than this waits
            for it is closed.
        real_peer_address: Switch (default True). REMOTE_ADDR in the environment is the address of the peer of the
            connection. Only a trusted proxy may name another one.
        trusted_proxies: Addresses and networks (default ()). Their X-Forwarded-… headers are believed:
            ``("127.0.0.1", "10.0.0.0/8")``. Name your reverse proxy here.
        compress_over: Bytes (default None). WebSocket messages from this size on are compressed (permessage-deflate).
            None declines the extension.
        whole_ping_interval: Switch (default True). A ``ping_interval`` that is no whole number of seconds, or is longer
            than an hour, is refused when the server is made.
        max_packets_per_payload: Number (default 10_000). A POST with more packets is answered with 413, and its session
            is closed. None of its packets is dropped silently.
        bound_unadmitted: Switch (default True). A client that is in no namespace may send 32 KiB and 100 packets in
            all. More closes the connection.
        max_unadmitted: Number (default 4_096). Clients that are in no namespace, in all. One more takes the place of
            one that has waited for long, or whose address has most of them; or it is answered with 503.
        max_unadmitted_per_address: Number (default 1_024). The same for one address. Behind a proxy all clients have
            its address, unless `trusted_proxies` names it.
        packets_per_s: Packets per second (default 5_000.0) of one connection. Four seconds' worth may arrive at once;
            then the connection is read more slowly.
        bytes_per_s: Bytes per second (default 8_388_608.0) of one connection, in the same way.
        work_share: Share of a processor core (default 0.05) that parsing the large packets of one connection may take.
            Then the connection is read more slowly.
        max_handlers: Number (default 256). Handlers of one client's events that run at the same time. The next event
            waits, and reading from the client pauses.
        max_namespaces: Number (default 100). Namespaces that one connection may ask for. More are refused.
        max_head_bytes: Bytes (default 16_384) of a request's head. A longer one is answered with 431.
        kept_headers: Names of header fields (default None) that a client's environment keeps: ``("User-Agent",)``. None
            keeps them all, and the request itself (``aiohttp.request``), as python-socketio does.

    Raises:
        UsageError: a value is of the wrong kind, or a proxy is no address or network.
        UnknownOptionError: there is no such guard; the message names the nearest.
    """

    connect_timeout_s: float | None = CONNECT_TIMEOUT_S
    strict_packets: bool = True
    max_attachments: int = MAX_ATTACHMENTS
    attachments_timeout_s: float | None = ATTACHMENTS_TIMEOUT_S
    reserved_events: bool = True
    hold_until_connected: bool = True
    refuse_on_error: bool = True
    refuse_on_disconnect: bool = True
    name_unknown_namespaces: bool = True
    empty_target_is_nobody: bool = True
    reserve_socket_ids: bool = True
    max_queued_bytes: int | None = MAX_QUEUED_BYTES
    real_peer_address: bool = True
    trusted_proxies: Sequence[str] = ()
    compress_over: int | None = None
    whole_ping_interval: bool = True
    max_packets_per_payload: int | None = MAX_PACKETS_PER_PAYLOAD

    bound_unadmitted: bool = True
    max_unadmitted: int | None = MAX_UNADMITTED
    max_unadmitted_per_address: int | None = MAX_UNADMITTED_PER_ADDRESS
    packets_per_s: float | None = PACKETS_PER_S
    bytes_per_s: float | None = BYTES_PER_S
    work_share: float | None = WORK_SHARE
    max_handlers: int | None = MAX_HANDLERS
    max_namespaces: int | None = MAX_NAMESPACES
    max_head_bytes: int | None = HEAD_BYTES
    kept_headers: Sequence[str] | None = None

    def __new__(cls, **given: Any) -> Self:
        """Refuse a guard that there is not, with the nearest one."""
        UnknownOptionError.refuse("Guards", given, cls.__dataclass_fields__)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            words, holds = KINDS[str(each.type)]
            if not holds(value):
                hint = (
                    f" Write: {each.name}=({value!r},)." if isinstance(value, str) and "[str]" in str(each.type) else ""
                )
                raise UsageError(f"Guards({each.name}={value!r}): expected {words}.{hint}")
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
        """These guards except the named ones. Raises UnknownOptionError."""
        UnknownOptionError.refuse("Guards", names, self.__dataclass_fields__)
        off = self.none()
        return replace(self, **{name: getattr(off, name) for name in names})
