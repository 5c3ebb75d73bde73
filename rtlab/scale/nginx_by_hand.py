"""An nginx with a configuration that somebody wrote by hand, in a lesson: what stands inside its ``http { … }``.

What lives here: `start_nginx` and `open_nginx`, and what has to stand around such a text so that nginx runs as anybody
and keeps its files to itself. What a good configuration says is not known here: that is `nginx_config`, which
`start_balancer` runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from rtlab.errors import UsageError
from rtlab.scale.balancer_setup import CONF, bind, owner
from rtlab.scale.nginx_features import nginx_features
from rtlab.scale.nginx_log import Generations
from rtlab.scale.nginx_values import check_host, check_port
from rtlab.servers import programs, registry
from rtlab.servers.supervisor import Child, Log
from rtlab.servers.unawaited import awaited

__all__ = ["HERE", "READY_S", "WORKERS", "NginxByHand", "open_nginx", "start_nginx"]

HERE, WORKERS = "HERE", "WORKERS"
"""The two words of a text that stand for what is known only when it runs: where to listen, and the workers."""
LOOPBACK = "127.0.0.1"
READY_S = 10.0
"""Seconds until nginx has to accept connections, or to say why not. It takes a twentieth of one."""
PAUSE_S = 0.01
"""Seconds between two looks."""
KINDS = ("client_body", "proxy")
"""Temporary files that each nginx may write; those of `NginxFeatures.temp_modules` come on top."""


class NginxByHand:
    """An nginx that accepts connections. Made by `start_nginx`."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        """nginx's master process."""
        self.port = port
        """The TCP port."""
        self._stopped = False

    @property
    def url(self) -> str:
        """Where it listens, as ``http://localhost:PORT``: aiohttp's clients take no cookie from an address."""
        return f"http://localhost:{self.port}"

    @property
    def ws_url(self) -> str:
        """The same for WebSocket clients."""
        return f"ws://localhost:{self.port}"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return not self._stopped and self.child.running

    @property
    def log(self) -> Log:
        """What nginx has said."""
        return self.child.log

    @property
    def text(self) -> str:
        """The whole configuration, as nginx has read it.

        Raises:
            UsageError: it has been stopped.
        """
        if self._stopped:
            raise UsageError(f"{self!r} was stopped. Start another one.")
        return (self.child.directory / CONF).read_text()

    @awaited("await nginx.stop()")
    async def stop(self) -> None:
        """End nginx, cut its connections, and remove its files. A second call does nothing."""
        self._stopped = True
        registry.forget(self)
        await self.child.aclose()

    def __repr__(self) -> str:
        return f"<nginx {self.url}, {'stopped' if self._stopped else self.child.state}>"


@awaited("nginx = await start_nginx(…)")
async def start_nginx(http: str, workers: Sequence[tuple[str, int]], *, name: str | None = None) -> NginxByHand:
    """Start an nginx with a configuration of your own, on a free port, until ``await nginx.stop()``.

    Ends with the process in any case. In a notebook, running a cell again stops what its earlier run had started.

    Args:
        http: what stands inside nginx's ``http { … }``. ``HERE`` stands for the address to listen on, in
            ``listen HERE;``, and ``WORKERS`` for ``server HOST:PORT;`` once for each worker.
        workers: host and port of each.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        MissingProgramError: there is no nginx on this machine.
        ChildError: nginx does not take the configuration; the message shows its own words.
        UsageError: the text does not say ``listen HERE;``, or an address is none.
    """
    if f"listen {HERE};" not in http:
        raise UsageError(f"Expected 'listen {HERE};' in a server of the configuration, so that nginx has a free port.")
    servers = [f"server {check_host(host)}:{check_port(port)};" for host, port in workers]
    program = programs.nginx()
    kinds = (*KINDS, *(await asyncio.to_thread(nginx_features, program)).temp_modules)
    async with registry.opening(name) as register:
        with bind(LOOPBACK, 0) as listener:
            port = listener.getsockname()[1]
            inside = http.replace(f"listen {HERE};", f"listen {LOOPBACK}:{port};").replace(WORKERS, " ".join(servers))
            child = Child(
                [*program.command, "-e", "stderr", "-p", f".{os.sep}", "-c", CONF],
                name="nginx",
                env=os.environ | {"NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()],
                files={CONF: _around(inside, kinds).encode()},
            )
        try:
            await _accepts(child)
        except BaseException:
            await child.aclose()
            raise
        nginx = NginxByHand(child, port)
        register(nginx)
    return nginx


@asynccontextmanager
async def open_nginx(
    http: str, workers: Sequence[tuple[str, int]], *, name: str | None = None
) -> AsyncIterator[NginxByHand]:
    """Such an nginx for the length of an ``async with`` block. Arguments and errors are those of `start_nginx`."""
    nginx = await start_nginx(http, workers, name=name)
    try:
        yield nginx
    finally:
        await nginx.stop()


def _around(inside: str, kinds: Sequence[str]) -> str:
    who = owner()
    user = f"user {' '.join(who)};\n" if who else ""
    temporary = "".join(f"{kind}_temp_path {kind}_temp;\n" for kind in kinds)
    return f"""\
{user}daemon off;
pid nginx.pid;
error_log stderr notice;
worker_processes 1;
events {{ }}
http {{
access_log off;
{temporary}{inside}
}}
"""


async def _accepts(child: Child) -> None:
    """Wait until a process of nginx accepts connections. (The port does so before: the socket listens already.)"""
    generations = Generations(child.log)
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while not generations.accepting():
                if not child.running:
                    raise child.failure()
                await asyncio.sleep(PAUSE_S)
            return
    raise child.failure(f"did not accept connections within {READY_S:g} s")
