"""An nginx with a configuration from a lesson: it runs, says why it does not, and leaves nothing behind."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from balanced_workers import three_workers

from rtlab.errors import ChildError, MissingProgramError, UsageError
from rtlab.lesson import crowd
from rtlab.scale.nginx_by_hand import open_nginx, start_nginx
from rtlab.servers import programs
from rtlab.servers.registry import resources

try:
    programs.nginx()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

SITE = """
upstream chat { WORKERS }
server {
    listen HERE;
    location / { proxy_pass http://chat; }
}
"""
ADDRESSES = [("127.0.0.1", 1)]


async def page(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json() if answer.status == 200 else None


async def test_the_workers_answer_in_turn_and_nothing_is_left():
    async with three_workers() as workers:
        async with open_nginx(SITE, [worker.address for worker in workers]) as nginx:
            answers = [await page(nginx.url) for _ in range(6)]
            assert [body["worker"] for _, body in answers] == [0, 1, 2, 0, 1, 2]
            assert repr(nginx) == f"<nginx {nginx.url}, running>"
            assert nginx.url in str(resources())
            assert f"listen 127.0.0.1:{nginx.port};" in nginx.text
            assert nginx.ws_url == nginx.url.replace("http", "ws")
        assert not nginx.running
        assert nginx.url not in str(resources())
        assert "stopped" in repr(nginx)
        with pytest.raises(UsageError, match="was stopped"):
            _ = nginx.text
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection("127.0.0.1", nginx.port)
        await nginx.stop()


async def test_nginx_says_in_its_own_words_what_it_does_not_take():
    with pytest.raises(ChildError, match='unknown directive "proxy_pas"'):
        await start_nginx(SITE.replace("proxy_pass", "proxy_pas"), ADDRESSES)
    assert "nginx" not in str(resources())


@pytest.mark.parametrize(
    ("text", "workers", "told"),
    [
        (SITE.replace("HERE", "8080"), ADDRESSES, "listen HERE;"),
        (SITE, [("127.0.0.1; include x", 1)], "upstream"),
        (SITE, [("127.0.0.1", 0)], "port"),
    ],
)
async def test_misuse_is_told_before_anything_runs(text, workers, told):
    with pytest.raises(UsageError, match=told):
        await start_nginx(text, workers)


async def test_the_second_of_one_name_replaces_the_first(capsys):
    first = await start_nginx(SITE, ADDRESSES, name="site")
    second = await start_nginx(SITE, ADDRESSES, name="site")
    assert not first.running
    assert await page(second.url) == (502, None)
    await second.stop()
    assert "started under the name 'site'" in capsys.readouterr().out


async def test_a_crowd_comes_through_it_or_not():
    async with three_workers() as workers:
        addresses = [worker.address for worker in workers]
        for upstream, transports, expected in (
            ("WORKERS", ["polling"], []),
            ("WORKERS sticky cookie worker;", ["polling"], [0, 1, 2]),
            ("WORKERS sticky cookie worker;", None, [0, 1, 2]),
            ("ip_hash; WORKERS", None, [2, 2, 2]),
        ):
            async with (
                open_nginx(SITE.replace("WORKERS", upstream), addresses) as nginx,
                crowd(nginx, 3, transports) as clients,
            ):
                assert [await client.call("which") for client in clients] == expected, upstream
            assert not any(client.connected for client in clients)
