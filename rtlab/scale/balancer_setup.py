"""What stays the same from one configuration of the lab's own nginx to the next.

What lives here: the listening socket, the limits that this machine allows, the names of the files, and the text that
comes of it. It must not start nginx, but to check a configuration.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from rtlab.errors import ChildError, UsageError
from rtlab.scale.certificates import CERTIFICATE_FILE, KEY_FILE
from rtlab.scale.nginx_config import COOKIE, Balancing, PrivateNginx, ProxyLimits, nginx_config
from rtlab.scale.nginx_features import NginxFeatures
from rtlab.servers import programs
from rtlab.servers.hosting import expect_port

__all__ = ["CONF", "TEST_S", "BalancerSetup", "bind", "limits_here", "owner"]

CONF = "nginx.conf"
TEST_S = 10.0
"""Seconds that ``nginx -t`` may take. It takes a hundredth of one, unless it has to look up names."""
BACKLOG = 511
"""Connections that wait to be accepted: nginx's own number."""
CONNECTIONS = 20_480
"""Of one nginx process: twice the 10,000 clients that the chat takes, and some."""
SPARE_FILES = 512
"""Open files that nginx needs beside its connections."""


@dataclass(frozen=True)
class BalancerSetup:
    """What does not change while a balancer lives."""

    program: programs.Program
    features: NginxFeatures
    balancing: Balancing
    host: str
    """As an address has it: an IPv6 address without brackets."""
    port: int
    tls: bool
    path: str
    limits: ProxyLimits

    @property
    def address(self) -> str:
        """Host and port as they stand in a URL."""
        return f"{_bracketed(self.host)}:{self.port}"

    def text(self, upstreams: Sequence[tuple[str, int]]) -> tuple[str, str]:
        """A configuration, and the path at which only this one answers 204."""
        check = f"/rtlab-balancer/{secrets.token_hex(16)}"
        text = nginx_config(
            upstreams,
            balancing=self.balancing,
            listen=self.address,
            tls=(CERTIFICATE_FILE, KEY_FILE) if self.tls else None,
            path=self.path,
            cookie=f"{COOKIE}_{self.port}",  # a browser sends cookies to every port of a host
            limits=self.limits,
            private=PrivateNginx(check, owner(), self.features.temp_modules),
        )
        return check, text

    def test(self, directory: Path, file: str) -> None:
        """Have nginx check a configuration in its directory. Blocks.

        Raises:
            ChildError: nginx does not accept it; the message shows why.
        """
        command = [*self.program.command, "-t", "-e", "stderr", "-p", f"{directory}{os.sep}", "-c", file]
        programs.output_of(command, name="nginx -t", timeout_s=TEST_S)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens, for nginx to inherit.

    Args:
        host: an IP address of this machine.
        port: a TCP port; 0 takes a free one.

    Raises:
        UsageError: the port is taken, or one of the two is none.
    """
    expect_port(port)
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise UsageError(f"A balancer listens on an IP address, such as 127.0.0.1 or ::1, got {host!r}.") from None
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        problem = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise UsageError(f"Port {port} of {host} {problem}. Leave the port out, and a free one is found.") from None
    listener.setblocking(False)  # nginx expects so of a socket that it inherits
    return listener


def limits_here(limits: ProxyLimits | None) -> ProxyLimits:
    """The limits as they are for workers on this machine: those that are given, or the usual ones.

    A worker here that does not run refuses at once, so it costs nothing to try it each time; to leave one alone for
    some seconds would leave nobody when all of them are restarted one after the other.
    """
    return limits or replace(ProxyLimits(), max_fails=0, connections=_connections())


def _connections() -> int:
    if sys.platform == "win32":
        return CONNECTIONS
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return CONNECTIONS if hard == resource.RLIM_INFINITY else max(64, min(CONNECTIONS, hard - SPARE_FILES))


def owner() -> tuple[str, str] | None:
    """User and group for nginx's processes. Who is root stays root: "nobody" could not use the private directory."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import grp
    import pwd

    try:
        return pwd.getpwuid(0).pw_name, grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        raise ChildError("nginx", "was not started: root, or its group, has no name on this machine") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
