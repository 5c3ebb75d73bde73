"""What doctor says of a Redis: ours, and Debian's with settings that lose something."""

from __future__ import annotations

import asyncio

import pytest
from certificates import Authority
from deadlines import WAIT_S
from scale.redis_servers import needs_redis_server, redis_server

from rtlab.errors import MissingProgramError
from rtlab.instruments.doctor import doctor
from rtlab.instruments.doctor.diagnosis import Status
from rtlab.instruments.doctor.doctor import diagnose
from rtlab.instruments.doctor.redis_features import NAME, Said, judge, redis_features
from rtlab.scale.sentinel_launching import open_sentinel_group
from rtlab.servers import programs

pytestmark = pytest.mark.timeout(WAIT_S * 3)

SAFE = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory": "0", "maxmemory-policy": "noeviction"}


@pytest.fixture(autouse=True)
def _no_redis_url(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)


def said(*, replicas: int | None = None, **settings: str) -> Said:
    given = SAFE | {name.replace("_", "-"): value for name, value in settings.items()}
    return Said("Redis 7.0.15", True, given, user="default", replicas=replicas)


async def test_a_group_of_ours_behind_sentinel_is_durable(monkeypatch):
    async with open_sentinel_group() as group:
        monkeypatch.setenv("REDIS_URL", group.url)
        found = await redis_features()
    assert (found.status, found.advice) == (Status.OK, "")
    for text in (
        "appendonly with appendfsync always",
        "1 replica, sentinels, min-replicas-to-write 1",
        "no TLS, on this machine only",
    ):
        assert text in found.found
    assert found.found.endswith("password asked")
    assert "no password" not in found.found


async def test_ours_keeps_nothing_and_that_is_no_reason_to_warn():
    try:
        programs.valkey()
    except MissingProgramError as error:
        pytest.skip(str(error))
    found = await redis_features()
    assert (found.status, found.advice) == (Status.OK, "")
    for text in ("streams", "nothing on disk", "no maxmemory", "no TLS, on this machine only", "ACL user default"):
        assert text in found.found
    assert found.found.endswith("password asked")
    assert "no password" not in found.found


@needs_redis_server
@pytest.mark.parametrize(
    ("lines", "text", "advice"),
    [
        (["appendonly yes"], "appendonly with appendfsync everysec (a crash loses up to a second)", ""),
        (["appendonly yes", "appendfsync always"], "appendonly with appendfsync always,", ""),
        (["appendonly yes", "appendfsync no"], "appendfsync no", "set appendfsync everysec"),
        ([], "nothing on disk", "A restart loses everything"),
        (["save 900 1"], "snapshots (save 900 1)", "after the last snapshot"),
        (["appendonly yes", "maxmemory 64mb", "maxmemory-policy allkeys-lru"], "64 MiB with allkeys-lru", "any key"),
        (["appendonly yes", "maxmemory 64mb", "maxmemory-policy volatile-ttl"], "volatile-ttl", "such as sessions"),
        (["appendonly yes", "maxmemory 64mb"], "maxmemory 64 MiB with noeviction", ""),
        (["appendonly yes", "replicaof 127.0.0.1 1"], "a replica", "name its primary"),
        (["appendonly yes", "rename-command CONFIG nothing"], "appendfsync unknown: CONFIG GET is refused", ""),
        (["rename-command CONFIG nothing"], "no appendonly", "set appendonly yes"),
    ],
)
async def test_what_would_be_lost_is_said(lines, text, advice, tmp_path, monkeypatch):
    async with redis_server(tmp_path, *lines) as port:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}")
        found = await redis_features()
    assert found.found.startswith("Redis ")
    assert text in found.found
    assert found.status is (Status.WARNING if advice else Status.OK), found
    assert advice in found.advice
    assert "no password asked" in found.found


@needs_redis_server
async def test_tls_and_a_user_of_its_own(tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    made = authority.issue()
    lines = [f"tls-cert-file {made.chain}", f"tls-key-file {made.key}", f"tls-ca-cert-file {authority.ca}",
             "tls-auth-clients no", "appendonly yes", "user ada on >lovelace ~* &* +@all -@admin -config",
             "requirepass x"]  # fmt: skip
    async with redis_server(tmp_path, *lines, tls=True) as port:
        url = f"rediss://ada:lovelace@localhost:{port}?ssl_ca_certs={authority.ca}"
        for more, encryption, status in (("", ", TLS,", Status.OK), ("&ssl_cert_reqs=none", "without", Status.WARNING)):
            monkeypatch.setenv("REDIS_URL", url + more)
            found = await redis_features()
            assert found.status is status
            assert encryption in found.found
            assert found.found.endswith("ACL user ada, password asked")
            assert "lovelace" not in repr(found)


@pytest.mark.parametrize(
    ("what", "url", "advice"),
    [
        (said(), "redis://10.0.0.1", "cross the network in clear"),
        (Said("Redis 7.0.15", True, SAFE, open_to_all=True), "rediss://10.0.0.1", "It lets in everybody"),
        (Said("Redis 4.0.0", False, SAFE), "redis://localhost", "Redis 5 or newer"),
        (said(appendonly="no"), "unix:///tmp/x", "A restart loses everything"),
        (said(), "redis://[::1]:6379", ""),
        (Said("Redis 7.0.15", True, {}), "rediss://h", ""),
        (Said("Redis 7.0.15", True, SAFE, replicas=0), "redis+sentinel://127.0.0.1:1,127.0.0.1:2/x", "start a replica"),
        (Said("Redis 7.0.15", True, SAFE, replicas=1), "redis+sentinel://127.0.0.1:1,[::1]:2/x", ""),
        (said(min_replicas_to_write="0", replicas=1), "redis+sentinel://h/x", "cross the network in clear"),
        (said(min_replicas_to_write="0", replicas=1), "valkeys+sentinel://h/x", "set min-replicas-to-write 1"),
        (said(min_replicas_to_write="1", replicas=1), "rediss+sentinel://h/x", ""),
        (said(replicas=2), "rediss://h", ""),
    ],
)
def test_what_a_server_said_is_judged(what, url, advice):
    found = judge(what, url, ours=False)
    assert found.status is (Status.WARNING if advice else Status.OK)
    assert advice in found.advice


def test_where_nothing_answers_it_is_a_line_of_doctor(monkeypatch):
    monkeypatch.setattr(doctor, "PROBES", {NAME: redis_features})
    monkeypatch.setenv("REDIS_URL", "redis://ada:secret@127.0.0.1:1")
    (found,) = diagnose()
    assert (found.name, found.status) == (NAME, Status.MISSING)
    assert "unset REDIS_URL" in found.found
    assert "secret" not in str(found)
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("RTLAB_VALKEY", "/nothing")
    (found,) = diagnose()
    assert "no Valkey" in found.found


async def test_a_server_that_answers_no_question_but_ping_is_no_failure(monkeypatch):
    """Hosted ones refuse much."""

    async def word(reader):
        return (await reader.readexactly(int((await reader.readline())[1:]) + 2))[:-2]

    async def proxy(reader, writer):
        while line := await reader.readline():
            words = [await word(reader) for _ in range(int(line[1:]))]
            answer = b"-NOPERM no\r\n"
            if words[0] == b"PING":
                answer = b"+PONG\r\n"
            elif words[:2] == [b"INFO", b"server"]:
                answer = b"$21\r\nredis_version:9.9.9\r\n\r\n"
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}?protocol=2")
        found = await redis_features()
    assert "persistence unknown, maxmemory unknown" in found.found
