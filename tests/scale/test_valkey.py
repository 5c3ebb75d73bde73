"""A Valkey that does not come up: it ends, says nothing, or nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex

import pytest
from deadlines import SCALE, WAIT_S

from rtlab.errors import ChildError
from rtlab.scale import valkey as module
from rtlab.scale.broker import start_broker
from rtlab.servers import programs


@pytest.fixture(autouse=True)
def _our_own_valkey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


def runs(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def stand_in(tmp_path, monkeypatch, *lines: str) -> None:
    """Name a shell script as the Valkey to start."""
    path = tmp_path / "valkey-server"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    monkeypatch.setenv("RTLAB_VALKEY", str(path))


async def test_a_valkey_that_ends_shows_its_last_words(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "echo 'no memory left'", "exit 3")
    with pytest.raises(ChildError, match=r"(?s)Valkey ended with exit status 3.*no memory left"):
        await start_broker()


async def test_a_valkey_that_never_answers_is_given_up_and_ended(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid", "echo 'still loading'", "exec sleep 1000")
    monkeypatch.setattr(module, "READY_S", 2 * SCALE)
    with pytest.raises(ChildError, match=r"(?s)did not answer PING within.*still loading"):
        await start_broker()
    assert not runs(int((tmp_path / "pid").read_text()))


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "alive")
    stand_in(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/alive", "exec sleep 1000")
    starting = asyncio.create_task(start_broker())
    async with asyncio.timeout(WAIT_S):
        pid = int(await asyncio.to_thread((tmp_path / "alive").read_text))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert not runs(pid)


async def test_a_valkey_is_up_also_when_it_has_printed_a_page_since(tmp_path, monkeypatch):
    """As one does on a busy machine that takes in all from its primary."""
    program = " ".join(shlex.quote(word) for word in programs.valkey().command)
    page = "".join(f"line {number}\n" for number in range(100))
    stand_in(
        tmp_path,
        monkeypatch,
        f'{program} "$@" | while read -r line; do',
        f'  case "$line" in *Ready*) printf "%s\\n%s" "$line" "{page}";; *) echo "$line";; esac',
        "done",
    )
    broker = await start_broker()
    await broker.stop()
