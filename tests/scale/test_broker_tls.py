"""REDIS_URL with TLS, a CA of one's own, users and passwords, against Debian's redis-server."""

from __future__ import annotations

import pytest
from certificates import Authority
from deadlines import WAIT_S
from redis.asyncio import Redis
from scale.redis_servers import needs_redis_server, redis_server

from rtlab.errors import UsageError
from rtlab.scale import broker as module
from rtlab.scale.broker import open_broker, start_broker

pytestmark = [needs_redis_server, pytest.mark.timeout(WAIT_S * 3)]
USER = "user ada on >lovelace ~* &* +@all"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def tls(authority: Authority, *names: str, **options) -> list[str]:
    """The lines of a configuration with such a certificate."""
    made = authority.issue(*names, **options)
    return [
        f"tls-cert-file {made.chain}",
        f"tls-key-file {made.key}",
        f"tls-ca-cert-file {authority.ca}",
        "tls-auth-clients no",
    ]


@pytest.mark.parametrize("user", ["", ":secret@", "ada:lovelace@"])
async def test_rediss_with_a_ca_of_ones_own(user, authority, tmp_path, monkeypatch):
    lines = [*tls(authority), USER, *(["requirepass secret"] if user else [])]
    async with redis_server(tmp_path, *lines, tls=True) as port:
        url = f"rediss://{user}localhost:{port}/2?ssl_ca_certs={authority.ca}"
        monkeypatch.setenv("REDIS_URL", url)
        async with open_broker() as broker, Redis.from_url(broker.url, decode_responses=True) as client:
            assert broker.url == url
            assert await client.set("key", "value")
            assert (await client.client_info())["db"] == 2
            assert await client.execute_command("ACL WHOAMI") == ("ada" if "ada" in user else "default")
            assert f"ssl_ca_certs={authority.ca}" in repr(broker)
            for secret in ("secret", "lovelace"):
                assert secret not in repr(broker)
        async with Redis.from_url(url) as client:
            assert await client.ping(), "it still runs"


async def test_what_is_wrong_with_the_certificate_is_said(authority, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").ca
    cases = [
        (tls(authority), other, "not issued by a trusted CA.*ssl_ca_certs in the URL's query"),
        (tls(authority), None, "not issued by a trusted CA"),
        (tls(authority, "redis.example"), authority.ca, "not for 'localhost'"),
        (tls(authority, expired=True), authority.ca, "has expired"),
    ]
    for lines, ca, says in cases:
        async with redis_server(tmp_path, *lines, tls=True) as port:
            query = f"?ssl_ca_certs={ca}" if ca else ""
            monkeypatch.setenv("REDIS_URL", f"rediss://localhost:{port}{query}")
            with pytest.raises(UsageError, match=rf"PING got no answer there: the server's certificate .*{says}"):
                await start_broker()


async def test_a_wrong_password_over_tls_is_a_wrong_password(authority, tmp_path, monkeypatch):
    async with redis_server(tmp_path, *tls(authority), USER, "requirepass secret", tls=True) as port:
        for user in ("", ":wrong@", "ada:wrong@"):
            monkeypatch.setenv("REDIS_URL", f"rediss://{user}localhost:{port}?ssl_ca_certs={authority.ca}")
            with pytest.raises(UsageError, match="the user and password in the URL are wrong") as caught:
                await start_broker()
            assert "wrong@" not in str(caught.value)


async def test_the_wrong_one_of_redis_and_rediss_is_said(authority, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "READY_S", 1.0)
    async with redis_server(tmp_path, *tls(authority), tls=True) as port:
        monkeypatch.setenv("REDIS_URL", f"redis://localhost:{port}")
        with pytest.raises(UsageError, match="try rediss://"):
            await start_broker()
    async with redis_server(tmp_path) as port:
        monkeypatch.setenv("REDIS_URL", f"rediss://localhost:{port}?ssl_ca_certs={authority.ca}")
        with pytest.raises(UsageError, match="try redis://"):
            await start_broker()


@pytest.mark.parametrize("content", [None, "", "nothing in PEM"])
async def test_a_ca_that_is_none_is_said(content, authority, tmp_path, monkeypatch):
    path = tmp_path / "wrong.pem"
    if content is not None:
        path.write_text(content)
    async with redis_server(tmp_path, *tls(authority), tls=True) as port:
        monkeypatch.setenv("REDIS_URL", f"rediss://:hidden@localhost:{port}?ssl_ca_certs={path}")
        with pytest.raises(UsageError, match=r"wrong\.pem") as caught:
            await start_broker()
        assert "hidden" not in str(caught.value)
