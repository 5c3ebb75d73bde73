"""The checks of exercise 12. `rtlab grade 12` runs them: each starts three real servers, and nginx with your file.

A grader may be read. It looks at what nginx does with your file on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import socketio
from aiohttp import web

import rtlab
from rtlab.grading import check, expect
from rtlab.grading.results import time_scale
from rtlab.servers.ports import free_port
from rtlab.servers.programs import nginx
from rtlab.servers.supervisor import Child

DEMANDS = {
    "nginx listens on 127.0.0.1:8000 and passes everything on to them.": "test_nginx_takes_it",
    "Every client connects: with long-polling alone": "test_long_polling",
    "by long-polling and then WebSocket": "test_the_upgrade",
    "and with WebSocket alone.": "test_websocket_alone",
    "An upgrade in HTTP/1.0 is none": "test_websocket_alone",
    "Each request may come over a new TCP connection.": ("test_long_polling", "test_the_upgrade"),
    'A request that asks for no upgrade reaches the worker without "Connection: upgrade".': "test_nginx_takes_it",
    "Clients of one address are spread over all three workers.": ("test_websocket_alone", "test_long_polling"),
    "A page's own JavaScript cannot read them.": "test_cookies_are_not_for_scripts",
    "it is the last one in X-Forwarded-For, whatever the client wrote there.": "test_workers_know_the_client",
    "X-Forwarded-Proto says http.": "test_workers_know_the_client",
    "a page from http://127.0.0.1:8000 may connect, a page from another site may not": "test_workers_know_their_site",
    "When a worker has ended, its clients and new ones are let in by the others, at once.": "test_a_worker_ends",
    "Everything else is passed on too: the page at /": "test_nginx_takes_it",
    "and WebSockets on other paths": "test_other_paths",
}
"""What README.md and nginx.conf demand, and the check that looks at it."""
LOOPBACK = "127.0.0.1"
WORKERS = 3
FIRST = 8000
PORT = re.compile(r"(?<=[:\s])800[0-3](?=[\s;/])")
"""The ports in the file, which stand for free ones: nginx's own, and those of the workers."""
MAIN = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events { }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include nginx.conf;
}
"""
"""Around the file: what lets nginx run as anybody, with all its files in one folder."""
ELSEWHERE = "127.0.0.2"
"""Another client's address. Linux has it; where a system has not, that part is left out."""
POLL = "/socket.io/?EIO=4&transport=polling"
LISTENS_S = 2.0
"""Seconds until nginx has to listen. It takes a twentieth of one."""


@web.middleware
async def ignore_upgrades_of_1_0(request: web.Request, handler: Any) -> web.StreamResponse:
    """As RFC 9110 §7.8 demands of a server. Other servers do it; aiohttp switches protocols all the same."""
    if request.version < aiohttp.HttpVersion11 and "Upgrade" in request.headers:
        return web.Response(status=426, text="An upgrade needs HTTP/1.1.")
    response: web.StreamResponse = await handler(request)
    return response


class Worker:
    """One of the workers: a Socket.IO server, a page, and an echo on a path of its own."""

    def __init__(self, number: int, reached: list[dict[str, str]]) -> None:
        self.number = number
        self._reached = reached
        self.sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins=None)
        self.sio.on("who", self._who)
        self.app = web.Application(middlewares=[self._note, ignore_upgrades_of_1_0])
        self.app.router.add_get("/", self._page)
        self.app.router.add_get("/raw/echo", self._echo)
        self.sio.attach(self.app)

    async def _who(self, sid: str) -> int:
        return self.number

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        headers = request.headers
        self._reached.append({name.lower(): ", ".join(headers.getall(name)) for name in headers})
        response: web.StreamResponse = await handler(request)
        return response

    async def _page(self, request: web.Request) -> web.Response:
        return web.json_response({"worker": self.number})

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws


class Site:
    """Three workers behind nginx."""

    def __init__(
        self,
        port: int,
        servers: list[rtlab.Server],
        clients: AsyncExitStack,
        log: Child,
        reached: list[dict[str, str]],
    ) -> None:
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self.servers = servers
        self._clients = clients
        self._log = log
        self.reached = reached
        """The headers of each request that has reached a worker, oldest first."""

    async def session(self, address: str = LOOPBACK, **options: Any) -> aiohttp.ClientSession:
        """A browser at this address: it keeps its cookies. Each of its requests goes over a connection of its own."""
        local_addr = None if address == LOOPBACK else (address, 0)
        connector = aiohttp.TCPConnector(force_close=True, local_addr=local_addr)
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, too
        return await self._clients.enter_async_context(
            aiohttp.ClientSession(connector=connector, cookie_jar=jar, **options)
        )

    async def client(self, *transports: str) -> socketio.AsyncClient | None:
        """A Socket.IO client of its own browser; None if it was not let in."""
        client = socketio.AsyncClient(http_session=await self.session(), reconnection=False)
        try:
            await client.connect(self.url, transports=list(transports), wait_timeout=3 * time_scale())
        except socketio.exceptions.ConnectionError:
            return None
        self._clients.push_async_callback(leave, client)
        return client

    async def clients(self, count: int, *transports: str) -> list[socketio.AsyncClient]:
        """Those of `count` clients that were let in."""
        found = await asyncio.gather(*(self.client(*transports) for _ in range(count)))
        return [each for each in found if each is not None]

    def said(self) -> str:
        """The last that nginx has printed, for a sentence."""
        lines = self._log.log.tail(1)
        return f" (nginx says: {plain(lines[0])})" if lines else ""


async def leave(client: socketio.AsyncClient) -> None:
    """Cut a client off. To leave politely takes one that is polling until its GET is answered, half a minute later."""
    await client.eio.disconnect(abort=True)


def plain(line: str) -> str:
    """A line of nginx's error log without time, process and folder."""
    line = re.sub(r"^\S+ \S+ (\[\w+\]) \d+#\d+: (\*\d+ )?", r"\1 ", line)
    line = re.sub(r", client: .*", "", line)
    return re.sub(r"\S*/(nginx\.conf)", r"\1", line)


def with_ports(submission: Path, ports: list[int]) -> str:
    """The submission's text, with these ports instead of 8000 to 8003."""
    return PORT.sub(lambda found: str(ports[int(found[0]) - FIRST]), submission.read_text(encoding="utf-8"))


@asynccontextmanager
async def site_of(submission: Path) -> AsyncIterator[Site]:
    """Three workers, and nginx with the submission in front of them."""
    async with AsyncExitStack() as servers, AsyncExitStack() as clients:
        reached: list[dict[str, str]] = []
        workers = [Worker(number, reached) for number in range(1, WORKERS + 1)]
        hosts = [await servers.enter_async_context(rtlab.serve(each.app)) for each in workers]
        ports = [free_port(), *(host.port for host in hosts)]
        text = with_ports(submission, ports)
        child = Child(
            [*nginx().command, "-e", "stderr", "-p", "./", "-c", "main.conf"],
            name="nginx",
            files={"main.conf": MAIN.encode(), "nginx.conf": text.encode()},
        )
        servers.push_async_callback(child.aclose)
        until = asyncio.get_running_loop().time() + LISTENS_S * time_scale()
        while child.running and not (up := await listens(ports[0])) and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        said = "; ".join(map(plain, child.log.tail(2)))
        expect.that("nginx runs with your file", child.running, but=f"it ended: {said}")
        expect.that(f"nginx listens on {LOOPBACK}:{FIRST}", up, but="nothing listens there")
        yield Site(ports[0], hosts, clients, child, reached)


async def listens(port: int) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


def named(client: socketio.AsyncClient) -> str:
    """The transport that a client uses now."""
    return str(client.transport())


async def workers_of(clients: list[socketio.AsyncClient]) -> Counter[int]:
    """How many of these clients each worker has. Each asks three times, and has to come to the same one."""
    found: Counter[int] = Counter()
    for client in clients:
        answers = [await expect.arrives("an acknowledgement", client.call("who"), within_s=3) for _ in range(3)]
        expect.that("a client stays with its worker", len(set(answers)) == 1, but=f"it was answered by {answers}")
        found[answers[0]] += 1
    return found


def spread(found: Counter[int]) -> None:
    """Expect that no worker is without a client."""
    shares = {f"worker {number}": found[number] for number in range(1, WORKERS + 1)}
    expect.that("clients of one address are on all three workers", all(shares.values()), but=f"they are so: {shares}")


@check(
    points=2,
    hints=(
        "Your file stands inside http { … }: an upstream block with three servers, and a server block that listens.",
        "`location / { proxy_pass http://NAME; }` passes everything on; a `map` can tell an upgrade from the rest.",
    ),
    deadline_s=10,
)
async def test_nginx_takes_it(submission: Path) -> None:
    """nginx starts with your file, and gives the page of a worker at / and at any other path."""
    async with site_of(submission) as site:
        session = await site.session()
        for path, status in (("/", 200), ("/?a=b", 200), ("/nothing/here", 404), (POLL, 200)):
            async with session.get(f"{site.url}{path}") as response:
                expect(f"the status of GET {path}{site.said()}", response.status, equals=status)
                if path in ("/", "/?a=b"):
                    page = await response.json()
                    expect("the worker that made the page", page["worker"], one_of=range(1, WORKERS + 1))
            expect.that(f"GET {path} reaches a worker", site.reached, but="nginx answers it by itself")
            connection = site.reached.pop().get("connection", "")
            expect.that(
                f"GET {path} reaches the worker without Connection: upgrade",
                "upgrade" not in connection.lower(),
                but=f"it says Connection: {connection}",
            )


@check(
    points=4,
    hints=(
        "A session lives in one worker, and long-polling makes many requests: all of them have to come to that worker.",
        "A cookie tells nginx where a client belongs: `sticky cookie NAME …;` in the upstream block.",
    ),
    deadline_s=15,
)
async def test_long_polling(submission: Path) -> None:
    """Nine clients from one address use long-polling alone; all are let in, and spread over the workers."""
    async with site_of(submission) as site:
        clients = await site.clients(9, "polling")
        expect(f"how many of 9 clients with long-polling are let in{site.said()}", len(clients), equals=9)
        spread(await workers_of(clients))


@check(
    points=3,
    hints=(
        "The upgrade is a request of its own with `Connection: upgrade`, and has to come to the worker of the session.",
        "nginx drops Upgrade and Connection unless told: `proxy_set_header` passes each of them on.",
    ),
    deadline_s=15,
)
async def test_the_upgrade(submission: Path) -> None:
    """Nine clients begin with long-polling and go over to WebSocket."""
    async with site_of(submission) as site:
        clients = await site.clients(9, "polling", "websocket")
        expect(f"how many of 9 clients are let in by default{site.said()}", len(clients), equals=9)
        expect("the transports that they use then", sorted(set(map(named, clients))), equals=["websocket"])
        spread(await workers_of(clients))


@check(
    points=3,
    hints=(
        "Which worker does nginx choose for a new client, and does that depend on the client's address?",
        "`ip_hash` sends everybody from one address to one worker. Without it, nginx takes the workers in turn.",
    ),
    deadline_s=15,
)
async def test_websocket_alone(submission: Path) -> None:
    """24 clients from one address use WebSocket alone; all are let in, and spread over the workers."""
    async with site_of(submission) as site:
        clients = await site.clients(24, "websocket")
        expect(f"how many of 24 clients with WebSocket alone are let in{site.said()}", len(clients), equals=24)
        spread(await workers_of(clients))


@check(
    points=1,
    hints=(
        "Look at the attributes of the Set-Cookie header that nginx adds, for example with `curl -v`.",
        "`HttpOnly` keeps a cookie from scripts (RFC 6265 §5.2.6); `sticky cookie` has an argument for it.",
    ),
    deadline_s=10,
)
async def test_cookies_are_not_for_scripts(submission: Path) -> None:
    """A client gets its cookies, if any, with HttpOnly."""
    async with site_of(submission) as site:
        session = await site.session()
        for path in ("/", POLL):
            async with session.get(f"{site.url}{path}") as response:
                for cookie in response.headers.getall("Set-Cookie", []):
                    attributes = [part.strip().lower() for part in cookie.split(";")[1:]]
                    expect.that(
                        f"the cookie that comes with {path} is HttpOnly",
                        "httponly" in attributes,
                        but=f"it is {cookie!r}",
                    )
                expect(f"the status of GET {path}", response.status, equals=200)


@check(
    points=3,
    hints=(
        "Nobody can trust what a client writes into X-Forwarded-For. nginx knows the true address: where can it stand?",
        "`$proxy_add_x_forwarded_for` is what the client wrote, and behind it its address; `$scheme` is http or https.",
    ),
    deadline_s=10,
)
async def test_workers_know_the_client(submission: Path) -> None:
    """A worker finds the address of the client last in X-Forwarded-For, also when the client has written one itself."""
    async with site_of(submission) as site:
        for forged in (
            {},
            {"X-Forwarded-For": "192.0.2.7"},
            {"X-Forwarded-For": "192.0.2.7, 192.0.2.8", "X-Forwarded-Proto": "https"},
        ):
            for path in ("/", "/?again", POLL, "/raw/echo"):
                await knows(site, path, LOOPBACK, forged)
        if has(ELSEWHERE):
            await knows(site, "/", ELSEWHERE, {})


def has(address: str) -> bool:
    """Whether this machine has the address."""
    try:
        socket.create_server((address, 0)).close()
    except OSError:
        return False
    return True


async def knows(site: Site, path: str, address: str, forged: dict[str, str]) -> None:
    """Observe what a worker is told of a client at this address, which sends these headers."""
    session = await site.session(address)
    site.reached.clear()
    if path == "/raw/echo":
        with suppress(aiohttp.WSServerHandshakeError):  # whether it is let in is another check's business
            await (await session.ws_connect(f"{site.url}{path}", headers=forged)).close()
    else:
        async with session.get(f"{site.url}{path}", headers=forged):
            pass
    what = f"a request for {path} from {address}" + (f" with {forged}" if forged else "")
    expect.that(f"{what} reaches a worker", site.reached, but=f"none does{site.said()}")
    headers = site.reached[-1]
    last = headers.get("x-forwarded-for", "").split(",")[-1].strip()
    expect(f"the last address in X-Forwarded-For of {what}", last, equals=address)
    expect(f"X-Forwarded-Proto of {what}", headers.get("x-forwarded-proto"), equals="http")


@check(
    points=3,
    hints=(
        "A worker compares Origin with the Host of the request. Which Host does nginx send, if you say nothing?",
        "`$host` has no port. `$http_host` is what the browser wrote, port included.",
    ),
    deadline_s=10,
)
async def test_workers_know_their_site(submission: Path) -> None:
    """A page of the site itself may connect, by long-polling and by WebSocket; a page of another site may not."""
    async with site_of(submission) as site:
        for origin, status in (
            (site.url, "let in"),
            ("http://elsewhere.example", "refused"),
            (f"http://{LOOPBACK}", "refused"),
        ):
            for transport in ("polling", "websocket"):
                got = await knock(site, origin, transport)
                shown = origin.replace(str(site.port), str(FIRST))
                expect(f"what becomes of a page of {shown} that uses {transport}", got, equals=status)


async def knock(site: Site, origin: str, transport: str) -> str:
    """What becomes of a page of this origin."""
    session = await site.session()
    url = f"{site.url}/socket.io/?EIO=4&transport={transport}"
    if transport == "polling":
        async with session.get(url, headers={"Origin": origin}) as response:
            return {200: "let in", 400: "refused"}.get(response.status, f"status {response.status}")
    try:
        async with session.ws_connect(url, headers={"Origin": origin}) as ws:
            return "let in" if (await ws.receive(timeout=3)).type is aiohttp.WSMsgType.TEXT else "cut off"
    except aiohttp.WSServerHandshakeError as error:
        return {400: "refused"}.get(error.status, f"status {error.status}")


@check(
    points=3,
    hints=(
        "A cookie must not tie a client to a worker that has ended. What does nginx do when an upstream refuses it?",
        "It asks the next one (`proxy_next_upstream`, on by default), if the upstream block has one that may answer.",
    ),
    deadline_s=15,
)
async def test_a_worker_ends(submission: Path) -> None:
    """A worker ends: its clients come to another one with the cookies that they have, and so do new clients."""
    async with site_of(submission) as site:
        browsers = [await site.session() for _ in range(6)]
        at = [await page_of(site, browser) for browser in browsers]
        gone = at[0]
        await site.servers[gone - 1].stop()
        for browser, before in zip(browsers, at, strict=True):
            client = socketio.AsyncClient(http_session=browser, reconnection=False)
            came = await expect.arrives(
                f"a connection for a browser that was on worker {before} when worker {gone} has ended",
                connects(client, site.url),
                within_s=5,
            )
            expect.that(
                f"a browser of worker {before} is let in when worker {gone} has ended",
                came,
                but=f"it is refused{site.said()}",
            )
            try:
                number = await expect.arrives("an acknowledgement", client.call("who"), within_s=3)
                expect.that("it is on a worker that runs", number != gone, but=f"it is on worker {number}")
            finally:
                await leave(client)
        clients = await site.clients(6, "polling", "websocket")
        expect(f"how many of 6 new clients are let in when a worker has ended{site.said()}", len(clients), equals=6)


async def page_of(site: Site, browser: aiohttp.ClientSession) -> int:
    """The worker that gives a browser the page."""
    async with browser.get(f"{site.url}/") as response:
        expect(f"the status of GET /{site.said()}", response.status, equals=200)
        return int((await response.json())["worker"])


async def connects(client: socketio.AsyncClient, url: str) -> bool:
    """Whether a client is let in."""
    try:
        await client.connect(url, wait_timeout=3 * time_scale())
    except socketio.exceptions.ConnectionError:
        return False
    return True


@check(
    points=2,
    hints=(
        "A WebSocket need not be below /socket.io/: which location do your headers for the upgrade stand in?",
        "One `location /` with all the headers serves all paths. One with a proxy_set_header of its own inherits none.",
    ),
    deadline_s=10,
)
async def test_other_paths(submission: Path) -> None:
    """A plain WebSocket on another path is passed on, in both directions."""
    async with site_of(submission) as site:
        session = await site.session()
        try:
            async with session.ws_connect(f"{site.url}/raw/echo", timeout=aiohttp.ClientWSTimeout(ws_close=1)) as ws:
                for text in ("one", "two" * 1000):
                    await ws.send_str(text)
                    message = await expect.arrives("an echo", ws.receive(), within_s=3)
                    expect("the echo", message.data, equals=text)
        except aiohttp.WSServerHandshakeError as error:
            expect("the answer to a WebSocket handshake at /raw/echo", error.status, equals=101)
