"""The chat over several hosts: Redis and nginx on one, the chat on two more, and its clients on a fourth."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority
from chat.serving import SECRET
from deadlines import WAIT_S
from eventually import until
from scale.network import ROOT, Host, needs_network, network
from scale.redis_servers import MISSING, REDIS_SERVER, needs_redis_server

from rtlab.errors import MissingProgramError
from rtlab.servers import programs
from rtlab.servers.supervisor import Child

try:
    NGINX = programs.nginx().command
    VALKEY = programs.valkey().command[-1]
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = [needs_network, pytest.mark.timeout(WAIT_S * 8)]

TESTS = Path(__file__).parents[1]
RTLAB = (sys.executable, "-m", "rtlab")
REDIS_PORT, CHAT_PORT, NGINX_PORT = 6379, 8000, 8080
NOWHERE = "02:00:00:00:00:99"
"""A link-layer address that nobody has (RFC 7042, section 2.1: locally administered)."""


@dataclass
class Site:
    """All of it, in the namespaces."""

    edge: Host
    """Has Redis and nginx."""
    chats: dict[Host, Child]
    clients: Host

    @property
    def url(self) -> str:
        """Where the clients find it."""
        return f"http://{self.edge.address}:{NGINX_PORT}"

    def connected(self, chat: Child) -> dict[str, str]:
        """Who has connected there, and from which address, as the chat has logged it."""
        lines = [json.loads(line) for line in chat.log.tail(10_000) if line.startswith("{")]
        return {line["user"]: line["peer"] for line in lines if line["message"] == "connected"}


@asynccontextmanager
async def site(folder: Path, *, tls: bool = False) -> AsyncIterator[Site]:
    """A Redis with a password, two chats, nginx as `rtlab nginx-config` prints it, and a host for clients."""
    password = secrets.token_urlsafe()
    async with AsyncExitStack() as stack:
        edge, second, third, clients = await stack.enter_async_context(network(4))

        def start(host: Host, *command: object, name: str, **env: str) -> Child:
            child = host.start([str(each) for each in command], name=name, env=environment(**env))
            stack.push_async_callback(child.aclose)
            return child

        lines, query = [f"port {REDIS_PORT}"], ""
        if tls:
            authority = Authority(folder)
            made = authority.issue(edge.address)
            lines = [
                "port 0", f"tls-port {REDIS_PORT}", f"tls-cert-file {made.chain}", f"tls-key-file {made.key}",
                f"tls-ca-cert-file {authority.ca}", "tls-auth-clients no",
            ]  # fmt: skip
            query = f"?ssl_ca_certs={authority.ca}"
        config = folder / "redis.conf"
        config.touch(0o600)
        config.write_text("\n".join([f"bind {edge.address}", f"requirepass {password}", 'save ""', *lines, ""]))
        redis = start(edge, REDIS_SERVER if tls else VALKEY, config, name="redis")
        await ready(redis, "Ready to accept")
        url = f"redis{'s' if tls else ''}://:{password}@{edge.address}:{REDIS_PORT}/0{query}"
        chats = {}
        for host, redis_option in ((second, url), (third, "env")):
            chats[host] = start(
                host, *RTLAB, "serve", "chat", "--host", host.address, "--port", CHAT_PORT, "--redis", redis_option,
                "--trusted-proxy", edge.address, name="chat", REDIS_URL=url if redis_option == "env" else "",
            )  # fmt: skip
        for host, chat in chats.items():
            await ready(chat, f"http://{host.address}:{CHAT_PORT}")
        await run_nginx(start, edge, list(chats), folder)
        yield Site(edge, chats, clients)


def environment(**variables: str) -> dict[str, str]:
    """What a program on a host finds in its environment: nothing of ours that it is not given."""
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TESTS), "RTLAB_SECRET": SECRET, **variables}


async def run_nginx(start, edge: Host, chats: list[Host], folder: Path) -> None:
    """Exactly what the command prints; first `nginx -t`, then nginx itself, with what a service adds on its command."""
    upstreams = [part for host in chats for part in ("--upstream", f"{host.address}:{CHAT_PORT}")]
    printed = subprocess.run(
        [*RTLAB, "nginx-config", *upstreams, "--listen", f"{edge.address}:{NGINX_PORT}"],
        capture_output=True, text=True, check=True, timeout=WAIT_S,
    ).stdout  # fmt: skip
    (folder / "nginx.conf").write_text(printed)
    more = "pid nginx.pid; error_log stderr notice;" + ("" if ROOT else " user root;")
    command = [*NGINX, "-e", "stderr", "-p", f"{folder}/", "-c", "nginx.conf", "-g"]
    assert "syntax is ok" in await edge.run(*command, more, "-t")
    await ready(start(edge, *command, f"daemon off; {more}", name="nginx"), "start worker process ")


async def ready(child: Child, said: str) -> None:
    """Wait until a program says so."""
    await until(lambda: not child.running or any(said in line for line in child.log.tail(100)), child.log.tail)
    if not child.running:
        raise child.failure()


@asynccontextmanager
async def scene(host: Host, name: str, url: str):
    """Clients that play a scene on a host; gives what waits for a line of theirs. They have to end content."""
    child = host.start([sys.executable, TESTS / "scale/hosts_client.py", name, url], name=name, env=environment())

    async def told(what: str) -> dict:
        def find():
            lines = [json.loads(line) for line in child.log.tail(100) if line.startswith("[")]
            return [more for said, more in lines if said == what]

        await until(lambda: find() or not child.running, child.log.tail)
        if not find():
            raise child.failure()
        return find()[0]

    try:
        yield told
        await until(lambda: not child.running, child.log.tail)
        if await child.wait_async():
            raise child.failure()
    finally:
        await child.aclose()


async def test_clients_with_websocket_and_with_polling_meet_over_two_hosts(tmp_path):
    async with site(tmp_path) as here:
        async with scene(here.clients, "conversation", here.url) as told:
            await told("talked")
        first, second = map(here.connected, here.chats.values())
        assert sorted([*first, *second]) == ["alice", "bob", "liar"]
        assert ("alice" in first) == ("bob" in second), "each on a host of its own"
        assert {*first.values(), *second.values()} == {here.clients.address}, "nginx says it, and the liar does not"


@pytest.mark.long
@pytest.mark.parametrize("tls", [False, pytest.param(True, marks=needs_redis_server)], ids=["redis", "rediss"])
async def test_a_host_of_the_chat_is_killed(tls, tmp_path):
    assert REDIS_SERVER or not tls, MISSING
    async with site(tmp_path, tls=tls) as here, scene(here.clients, "death", here.url) as told:
        await told("kill the host of alice")
        (lost,) = (chat for chat in here.chats.values() if "alice" in here.connected(chat))
        (stays,) = (chat for chat in here.chats.values() if chat is not lost)
        assert "carol" in here.connected(lost)
        assert {"bob", "dave"} <= here.connected(stays).keys()
        lost.kill()
        await told("restored")
        assert {"alice", "carol"} <= here.connected(stays).keys()


@pytest.mark.long
@pytest.mark.parametrize("tls", [False, pytest.param(True, marks=needs_redis_server)], ids=["redis", "rediss"])
async def test_a_host_whose_way_to_redis_is_cut_says_so_and_comes_back(tls, tmp_path):
    """Packets vanish without a word, as when a cable is pulled; the others go on."""
    assert REDIS_SERVER or not tls, MISSING
    async with site(tmp_path, tls=tls) as here:
        host, other = here.chats
        route = ("to", here.edge.address, "dev", "eth0")
        async with (
            scene(here.clients, "without_redis", f"http://{host.address}:{CHAT_PORT}") as told,
            scene(here.clients, "conversation", f"http://{other.address}:{CHAT_PORT}") as told_other,
        ):
            await told("cut it off")
            await host.run("ip", "neighbour", "replace", *route, "lladdr", NOWHERE, "nud", "permanent")
            assert (await told("lost"))["health"] == {"live": True, "ready": False}
            await host.run("ip", "neighbour", "delete", *route)
            await told("regained")
            await told_other("talked")
