"""`rtlab serve chat --workers` and `--redis`, and `rtlab emit`, as a person runs them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from deadlines import WAIT_S
from eventually import eventually
from processes import below

from rtlab.chat import connect, issue_token
from rtlab.cli.commands import main
from rtlab.errors import MissingProgramError
from rtlab.scale.broker import open_broker
from rtlab.scale.certificates import make_certificates
from rtlab.scale.emitting import parse_json
from rtlab.servers import programs

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(WAIT_S * 6)

RTLAB = [sys.executable, "-m", "rtlab"]
SECRET = "a secret of the tests, longer than 32 bytes"


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "RTLAB_SECRET"}}
    return {**kept, "RTLAB_SECRET": SECRET, **variables}


def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*RTLAB, *arguments],
        capture_output=True, text=True, timeout=WAIT_S * 2, check=False, input=stdin, env=environment(**variables),
    )  # fmt: skip


@contextmanager
def serving(tmp_path: Path, *arguments: str, **variables: str):
    """A chat of two workers; gives the process, its address and the file with its log. Nothing of it may be left."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*RTLAB, "serve", "chat", *arguments],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment(**variables),
        )  # fmt: skip
    with process:
        try:
            url = process.stdout.readline().strip()
            assert re.fullmatch(r"https?://[\w.]+:\d+", url), (url, (tmp_path / "log").read_text())
            children = psutil.Process(process.pid).children(recursive=True)
            yield process, url, tmp_path / "log"
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(WAIT_S) == 0
        finally:
            if process.poll() is None:
                process.kill()
        _, alive = psutil.wait_procs(children, timeout=WAIT_S)
        assert alive == []


@pytest.fixture
def in_process(monkeypatch, capsys):
    """Runs a command in this process, which is quicker; gives its exit status, and what it printed."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("RTLAB_SECRET", SECRET)

    def run_here(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return ended.value.code, *capsys.readouterr()

    return run_here


def lines(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def pid_of(url: str, process: subprocess.Popen, what: str) -> int:
    """The process that runs a module, below another one."""
    for child, command in below(process.pid).items():
        if what in " ".join(command[:4]) and "watchdog" not in " ".join(command[:4]):
            return child.pid
    raise AssertionError(f"no {what}")


async def test_from_a_start_to_a_conversation_to_a_death_to_a_drain(tmp_path):
    with serving(tmp_path, "--workers", "2") as (process, url, log):
        async with (
            connect(url, token=issue_token("alice", SECRET)) as alice,
            connect(url, token=issue_token("bob", SECRET)) as bob,
        ):
            await alice.join("lobby")
            await bob.join("lobby")
            os.kill(pid_of(url, process, "worker_program"), signal.SIGKILL)
            sent = [await alice.send("lobby", f"message {number}") for number in range(10)]
            heard = [await bob.next("chat:message", within_s=WAIT_S) for _ in sent]
            assert [each.data["id"] for each in heard] == [each.id for each in sent]
            await asyncio.to_thread(eventually, lambda: "was started again and is ready" in log.read_text())
            process.send_signal(signal.SIGTERM)
            await bob.next("server:draining", within_s=WAIT_S)
            assert await asyncio.to_thread(process.wait, WAIT_S) == 0
    said = lines(log)
    assert {"worker-1", "worker-2", "nginx", "redis", "cluster"} <= {each["process"] for each in said}
    assert [each["message"] for each in said].count("draining") == 2
    assert any(re.fullmatch(r"worker-\d ended with signal SIGKILL by itself", each["message"]) for each in said)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_leaves_nothing(number, tmp_path):
    with subprocess.Popen(
        [*RTLAB, "serve", "chat", "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    ) as process:  # fmt: skip
        eventually(lambda: any("worker_program" in " ".join(each) for each in below(process.pid).values()))
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_S)
        assert (process.returncode, out, err) == (130, "", "Interrupted.\n")
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert alive == []


@pytest.mark.long
def test_a_second_signal_waits_for_nobody(tmp_path):
    with serving(tmp_path, "--workers", "2") as (process, url, log):
        worker = pid_of(url, process, "worker_program")
        os.kill(worker, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        eventually(lambda: "draining" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0


@pytest.mark.long
def test_killed_itself_it_leaves_nothing(tmp_path):
    with serving(tmp_path, "--workers", "2") as (process, _, _):
        process.kill()
        process.wait()


@pytest.mark.long
def test_tls_with_a_certificate_of_ones_own(tmp_path):
    pair = make_certificates()
    pair.write(tmp_path)
    arguments = ("--tls-certificate", str(tmp_path / "certificate.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with serving(tmp_path, "--workers", "1", *arguments) as (_, url, _):
        assert url.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with urllib.request.urlopen(f"{url}/health", timeout=WAIT_S, context=context) as answer:
            assert answer.read() == b'{"live": true, "ready": true}'
    (tmp_path / "key.pem").write_bytes(make_certificates().key)
    result = run("serve", "chat", "--workers", "1", *arguments)
    assert result.returncode == 2
    assert "key values mismatch" in result.stderr
    assert "Traceback" not in result.stderr


async def test_two_hosts_share_a_redis_and_emit_speaks_from_outside(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with open_broker() as broker:
        with (
            serving(tmp_path / "a", "--redis", broker.url) as (_, one, _),
            serving(tmp_path / "b", "--redis", "env", REDIS_URL=broker.url) as (_, two, _),
        ):
            async with (
                connect(one, token=issue_token("alice", SECRET)) as alice,
                connect(two, token=issue_token("bob", SECRET)) as bob,
            ):
                await alice.join("lobby")
                await bob.join("lobby")
                await alice.send("lobby", "from another host")
                assert (await bob.next("chat:message", within_s=WAIT_S)).data["text"] == "from another host"
                emitted = await asyncio.to_thread(
                    run, "emit", "chat:lobby", "chat:typing", '{"a": [1, "ü"]}', REDIS_URL=broker.url
                )
                assert (emitted.returncode, emitted.stdout) == (0, "chat:typing sent to chat:lobby: 2 servers on /\n")
                for each in (alice, bob):
                    assert (await each.next("chat:typing", within_s=WAIT_S)).data == {"a": [1, "ü"]}
                for arguments in (("a-room", "news", "-"), ("a-room", "news", "null", "--namespace", "/notifications")):
                    emitted = await asyncio.to_thread(run, "emit", *arguments, "--redis", broker.url, stdin="[1]")
                    assert emitted.returncode == 0, emitted.stderr
        emitted = await asyncio.to_thread(run, "emit", "room", "event", "null", REDIS_URL=broker.url)
        assert emitted.returncode == 2
        assert "No Socket.IO server listens on that Redis" in emitted.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "0"], "0 is not in the range 1<=x<=64"),
        (["--workers", "three"], "'three' is not a valid integer"),
        (["--workers", "2", "--balancing", "round robin"], "'round_robin', 'ip_hash', 'sticky', 'websocket_only'"),
        (["--balancing", "sticky"], "--balancing is for nginx, which is there with --workers N only."),
        (["--tls-key", __file__], "--tls-key is for nginx"),
        (["--workers", "2", "--tls-key", __file__], "a certificate needs its key"),
        (["--workers", "2", "--per-address", "5"], "--per-address does not go with --workers"),
        (["--redis", "env"], "takes the URL from REDIS_URL, which is not set"),
        (["--workers", "2", "--trusted-proxy", "nginx"], "trusted_proxies"),
        (["--workers", "2", "--origin", "*"], "Expected an origin"),
    ],
)
def test_a_mistake_is_explained(arguments, said, in_process):
    status, out, err = in_process("serve", "chat", *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_a_redis_that_does_not_answer():
    result = run("serve", "chat", "--workers", "2", "--redis", "redis://:word@127.0.0.1:1")
    assert (result.returncode, result.stdout) == (2, "")
    assert "REDIS_URL is redis://:…@127.0.0.1:1, but PING got no answer" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.long
def test_a_taken_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("serve", "chat", "--workers", "1", "--port", port)
    assert result.returncode == 2
    assert f"Port {port}" in result.stderr.replace("port", "Port")
    assert "taken" in result.stderr


NOBODY = ("--redis", "redis://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("room", "event", "null"), "Which Redis? Give --redis URL, or set REDIS_URL"),
        (("room", "event", "null", *NOBODY), "No answer from redis://127.0.0.1:1: "),
        (("room", "event", "null", "--redis", "redis://:secret@127.0.0.1:1"), "No answer from redis://:…@127.0.0.1:1"),
        (("room", "event", "null", "--redis", "http://127.0.0.1"), "'http://127.0.0.1' is no URL of a Redis"),
        (("room", "event", "hello", *NOBODY), "'\"hello\"'"),
        (("room", "event", "{'a': 1}", *NOBODY), "JSON has double quotes only"),
        (("room", "event", "", *NOBODY), "write null"),
        (("room", "event", "[1,", *NOBODY), "Expected JSON, got '[1,'"),
        (("room", "event", "NaN", *NOBODY), "NaN is no JSON"),
        (("room", "event", "[" * 100_000, *NOBODY), "nested too deeply"),
        (("", "event", "null", *NOBODY), "Expected the name of a room, got an empty one."),
        (("room", "disconnect", "null", *NOBODY), "which Socket.IO itself sends"),
        (("room", "", "null", *NOBODY), "Expected the name of an event"),
        (("room", "event", "null", "--namespace", "news", *NOBODY), "expected '/news', got 'news'"),
        (("room", "event"), "JSON"),
    ],
)
def test_an_emit_that_cannot_be(arguments, said, in_process):
    status, out, err = in_process("emit", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert "secret" not in err


def test_json_that_is_too_long():
    with pytest.raises(Exception, match="longer than 1,000,000 bytes"):
        parse_json('"' + "a" * 1_000_000 + '"')


def test_the_help_tells_what_it_does():
    said = " ".join(run("emit", "--help").stdout.split())
    for each in (
        "AsyncRedisManager(url, write_only=True)",
        "chat:lobby",
        "REDIS_URL",
        "- reads it from standard input",
    ):
        assert each in said
