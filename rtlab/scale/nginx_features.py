"""What an nginx can do: its version, the modules that it was built with, and whether it knows the sticky cookie.

What lives here: two questions to the program itself, ``nginx -V`` and ``nginx -t``. It must not know what is balanced.
The sticky cookie is no module of its own in that list, so a small configuration with it is checked.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rtlab.errors import ChildError
from rtlab.servers import programs

__all__ = ["NginxFeatures", "nginx_features"]

TEMP_MODULES = ("fastcgi", "uwsgi", "scgi")
"""Modules that nginx has unless it was built without them, and that want a folder for temporary files."""
STICKY = """\
daemon off;
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path client_body_temp;
    proxy_temp_path proxy_temp;
TEMPORARY
    upstream workers { zone workers 64k; server 127.0.0.1:1; sticky cookie worker path=/; }
    server { listen unix:nginx.sock; location / { proxy_pass http://workers; } }
}
"""
"""Nothing listens: ``nginx -t`` ends after the check. A socket by name takes no port from anybody meanwhile."""


@dataclass(frozen=True)
class NginxFeatures:
    """What `nginx_features` found."""

    version: str
    sticky: bool
    """Whether an upstream can have ``sticky cookie``."""
    ssl: bool
    """https and wss."""
    http_v2: bool
    stream: bool
    """Balancing of plain TCP."""
    realip: bool
    """The client's address from another proxy in front."""
    temp_modules: tuple[str, ...]
    """Which of fastcgi, uwsgi and scgi it has."""

    def __str__(self) -> str:
        named = {
            "sticky cookie": self.sticky,
            "ssl": self.ssl,
            "http_v2": self.http_v2,
            "stream": self.stream,
            "realip": self.realip,
        }
        has = [name for name, there in named.items() if there]
        lacks = [name for name, there in named.items() if not there]
        return f"with {', '.join(has) or 'none of its modules'}{'; without ' + ', '.join(lacks) if lacks else ''}"


def nginx_features(program: programs.Program, timeout_s: float = programs.ANSWER_S) -> NginxFeatures:
    """Ask an nginx. Blocks for some 20 ms.

    Args:
        program: as `programs.nginx` gives it.
        timeout_s: seconds for each of the two questions.

    Raises:
        ChildError: it does not run, or says no version.
    """
    said = programs.output_of([*program.command, "-V"], name="nginx", timeout_s=timeout_s)
    version = re.search(r"nginx/(\d+(?:\.\d+)+)|version:\D*(\d+(?:\.\d+)+)", said)
    if version is None:
        raise ChildError("nginx", f"({program.path}) tells no version", said.splitlines())
    options = set(said.split())
    kept = tuple(name for name in TEMP_MODULES if f"--without-http_{name}_module" not in options)
    return NginxFeatures(
        version=version[1] or version[2],
        sticky=_accepts_sticky(program, kept, timeout_s),
        ssl="--with-http_ssl_module" in options,
        http_v2="--with-http_v2_module" in options,
        stream=bool({"--with-stream", "--with-stream=dynamic"} & options),
        realip="--with-http_realip_module" in options,
        temp_modules=kept,
    )


def _accepts_sticky(program: programs.Program, kept: tuple[str, ...], timeout_s: float) -> bool:
    with tempfile.TemporaryDirectory(prefix="rtlab-") as folder:
        file = Path(folder, "nginx.conf")
        file.write_text(STICKY.replace("TEMPORARY", "".join(f"{name}_temp_path {name}_temp;" for name in kept)))
        command = [*program.command, "-t", "-p", folder + os.sep, "-c", str(file)]
        try:
            programs.output_of(command, name="nginx", timeout_s=timeout_s)
        except ChildError as error:
            if not error.tail:  # it did not say why: it did not answer
                raise
            return False
    return True
