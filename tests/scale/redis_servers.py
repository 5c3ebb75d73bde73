"""Debian's redis-server for tests: with TLS, users, persistence; skipped with a reason where it is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from eventually import until

from rtlab.errors import MissingProgramError
from rtlab.servers import programs
from rtlab.servers.ports import free_port
from rtlab.servers.supervisor import Child

__all__ = ["KINDS", "QUICKLY_ONE", "REDIS_SERVER", "needs_redis_server", "redis_server", "use_as_valkey"]

REDIS_SERVER = shutil.which("redis-server")
MISSING = "RTLAB_REQUIRE_REDIS_SERVER is 1, and there is no redis-server on PATH"
REQUIRED = os.environ.get("RTLAB_REQUIRE_REDIS_SERVER") == "1"
needs_redis_server = pytest.mark.skipif(
    REDIS_SERVER is None and not REQUIRED,
    reason="needs redis-server on PATH (on Debian: `sudo apt install redis-server`)",
)
"""A test with it fails without redis-server where RTLAB_REQUIRE_REDIS_SERVER is 1; elsewhere it is skipped."""

KINDS = ("Valkey", pytest.param("Redis", marks=needs_redis_server))
"""The parameters of a fixture or test that runs with both servers; see `use_as_valkey`."""
QUICKLY_ONE = ("Valkey", pytest.param("Redis", marks=[needs_redis_server, pytest.mark.long]))
"""The same where `make test` is content with the bundled Valkey; `tests/scale/test_broker.py` has both there."""


def use_as_valkey(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rtlab start the bundled Valkey, or Debian's redis-server; without the former the test is skipped."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    if kind == "Redis":
        assert REDIS_SERVER is not None, MISSING
        monkeypatch.setenv("RTLAB_VALKEY", REDIS_SERVER)
        return
    try:
        programs.valkey()
    except MissingProgramError as error:
        pytest.skip(str(error))


@asynccontextmanager
async def redis_server(folder: Path, *lines: str, host: str = "127.0.0.1", tls: bool = False) -> AsyncIterator[int]:
    """Run one with these lines of configuration; gives its port.

    Args:
        folder: where its configuration goes, which only its owner can read.
        lines: more of its configuration.
        host: the address that it listens on.
        tls: whether the port speaks TLS; then `lines` name the certificate.
    """
    assert REDIS_SERVER is not None, MISSING
    port = free_port(host)
    ports = ("port 0", f"tls-port {port}") if tls else (f"port {port}",)
    path = folder / f"redis-{port}.conf"
    path.touch(0o600)
    path.write_text("\n".join([f"bind {host}", *ports, 'save ""', *lines, ""]))
    child = Child([REDIS_SERVER, path], name="redis-server")
    try:
        await until(lambda: not child.running or any("Ready to accept" in line for line in child.log.tail()))
        if not child.running:
            raise child.failure()
        yield port
    finally:
        await child.aclose()
