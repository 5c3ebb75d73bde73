"""The nginx.conf that `rtlab nginx-config` prints, run as it is: names that are not ours, TLS, and a dead worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl

import aiohttp
import pytest
from balanced_workers import new_client, three_workers
from deadlines import WAIT_S
from eventually import until

from rtlab.errors import MissingProgramError
from rtlab.scale.certificates import make_certificates
from rtlab.scale.nginx_config import nginx_config
from rtlab.servers import programs
from rtlab.servers.supervisor import Child

try:
    programs.nginx()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)


@contextlib.asynccontextmanager
async def deployed(workers, folder, *, tls: bool, balancing: str = "sticky"):
    """The configuration for a host of its own, with what a system's service would add on the command line."""
    make_certificates().write(folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        text = nginx_config(
            [worker.address for worker in workers],
            balancing=balancing,
            listen=f"127.0.0.1:{port}",
            server_names=["localhost", "*.chat.example"],
            tls=(f"{folder}/certificate.pem", f"{folder}/key.pem") if tls else None,
        )
        child = Child(
            [*programs.nginx().command, "-e", "stderr", "-p", "./", "-c", "nginx.conf",
             "-g", "daemon off; pid nginx.pid; error_log stderr notice;"],
            name="nginx",
            env=os.environ | {"NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
            files={"nginx.conf": text.encode()},
        )  # fmt: skip
    try:
        await until(lambda: any("start worker process " in line for line in child.log.tail()), child.log.tail)
        yield port
    finally:
        await child.aclose()


async def status_of(port: int, host: str, *, server_name: str | None = None, context=None) -> int:
    """The status of a request for a host, over TLS if there is a context."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        try:
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()


async def test_only_its_own_names_are_served(tmp_path):
    async with three_workers() as workers, deployed(workers, tmp_path, tls=False) as port:
        for host in ("localhost", f"localhost:{port}", "LOCALHOST", "a.chat.example"):
            assert await status_of(port, host) == 200, host
        for host in ("evil.example", "127.0.0.1", "chat.example.evil.example", "chat.example"):
            assert await status_of(port, host) == 421, host


async def test_with_tls_other_names_do_not_even_shake_hands(tmp_path):
    async with three_workers() as workers, deployed(workers, tmp_path, tls=True) as port:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        assert await status_of(port, "localhost", server_name="localhost", context=context) == 200
        assert await status_of(port, "evil.example", server_name="localhost", context=context) == 421
        context.check_hostname = False
        with pytest.raises(ssl.SSLError):
            await status_of(port, "localhost", server_name="evil.example", context=context)


async def test_clients_connect_through_it_also_when_a_worker_has_died(tmp_path):
    async with three_workers() as workers, deployed(workers, tmp_path, tls=True) as port:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        await workers[0].server.stop()
        for transports in (["polling"], None, ["websocket"]):
            async with new_client(f"https://localhost:{port}", transports, ssl_context=context) as client:
                assert await client.call("which") in {1, 2}
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://localhost:{port}/", ssl=context) as answer:
                assert answer.cookies["rtlab_worker"]["secure"]
