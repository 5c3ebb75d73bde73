"""What may stand in an nginx.conf, and how it is written there.

What lives here: one function for each kind of value (an upstream, an address to listen on, a server's name, a path, a
cookie's name). Each gives the text for the file, or raises UsageError. It must not know which directive it is for.

A configuration file is a program: a host with a line end or a semicolon in it could add directives. So what is written
is what a short pattern allows, and the one value that may hold nearly everything, a path, is quoted.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import PurePosixPath

from rtlab.errors import UsageError

__all__ = ["check_cookie", "check_host", "check_location", "check_name", "check_port", "quote_path", "split_address"]

LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
"""One part of a host name (RFC 1123, section 2.1), and the underscore that container names have."""
HOST = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?")
NAME = re.compile(rf"(?:\*\.)?{LABEL}(?:\.{LABEL})*")
COOKIE = re.compile(r"[A-Za-z0-9_-]{1,64}")
LOCATION = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?")
HOST_CHARACTERS = 253
"""Longest host name (RFC 1035, section 2.3.4, without the bytes that only the wire has)."""


def check_host(host: object, what: str = "An upstream") -> str:
    """A host's name or address as nginx writes it: an IPv6 address gets its brackets."""
    if isinstance(host, str) and len(host) <= HOST_CHARACTERS:
        bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
        try:
            address = ip_address(bare)
        except ValueError:
            looks_numeric = re.fullmatch(r"[0-9.]+", host)
            if HOST.fullmatch(host) and not looks_numeric:
                return host
        else:
            if "%" not in bare and (address.version == 6 or bare == host):
                return f"[{bare}]" if address.version == 6 else bare
    raise UsageError(
        f"{what} is a host name or an IP address with a port, such as chat1.example:8000, 10.0.0.7:8000 or "
        f"[::1]:8000; its host is {host!r}."
    )


def check_port(port: object, what: str = "An upstream") -> int:
    """A TCP port."""
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        raise UsageError(f"{what} has a port from 1 to 65535, got {port!r}.")
    return port


def split_address(text: str, what: str = "An upstream", *, host: str | None = None) -> tuple[str, int]:
    """``HOST:PORT`` as a host and a port.

    Args:
        text: what was typed.
        what: begins the message if it is none.
        host: stands for the host where only a port was typed; None asks for a host.
    """
    before, colon, after = text.rpartition(":")
    if not colon and host is not None:
        before, after = host, text
    if not before or not re.fullmatch(r"[0-9]{1,5}", after) or (":" in before and before[0] != "["):
        example = "8080, 127.0.0.1:8080 or [::]:8080" if host is not None else "10.0.0.7:8000 or [::1]:8000"
        raise UsageError(f"{what} is written like {example}, got {text!r}.")
    return (before if before == host else check_host(before, what)), check_port(int(after), what)


def check_name(name: str) -> str:
    """A name of the site, such as ``chat.example`` or ``*.chat.example``."""
    if not NAME.fullmatch(name) or len(name) > HOST_CHARACTERS:
        raise UsageError(
            f"A server name is a host name such as chat.example or *.chat.example, without scheme, port or path; "
            f"got {name!r}."
        )
    return name.lower()


def check_cookie(name: str) -> str:
    """The name of a cookie."""
    if not COOKIE.fullmatch(name):
        raise UsageError(f"A cookie's name has 1 to 64 letters, digits, - and _, got {name!r}.")
    return name


def check_location(path: str) -> str:
    """Where Socket.IO is served, such as ``/socket.io/``; what comes back begins with a slash and ends with none."""
    if not LOCATION.fullmatch(path) or "//" in path or {".", ".."} & set(path.split("/")):
        raise UsageError(f"The path of Socket.IO looks like /socket.io/, got {path!r}.")
    return path.rstrip("/")


def quote_path(path: str, what: str, *, relative: bool = False) -> str:
    """An absolute path (or any), quoted. nginx takes $ for a variable, and no escape prevents that.

    Source: https://nginx.org/en/docs/http/ngx_http_ssl_module.html#ssl_certificate, "variables"; the escapes are read
    in nginx's ngx_conf_read_token.
    """
    if not relative and not PurePosixPath(path).is_absolute():
        raise UsageError(
            f"{what} is an absolute path, such as /etc/ssl/chat.pem, got {path!r}: nginx would look for a relative "
            "one in a folder of its own."
        )
    if "$" in path or any(ord(each) < 32 or ord(each) == 127 for each in path):
        raise UsageError(f"{what} may contain no $ and no control characters, got {path!r}. Rename the file.")
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
