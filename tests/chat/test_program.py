"""The chat as a program: `rtlab serve chat` and `rtlab token`, as a person runs them."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from deadlines import WAIT_S

from rtlab.chat import ChatRefusedError, connect, issue_token, verify
from rtlab.chat.chat import DRAIN_S
from rtlab.cli import main
from rtlab.servers.door.http import BODY_TIMEOUT_S, HEAD_TIMEOUT_S
from rtlab.servers.door.limits import PER_ADDRESS, SOCKETS
from rtlab.servers.summed import INTERVAL_S

RTLAB = [sys.executable, "-m", "rtlab"]
SECRET = "a secret of the tests, longer than 32 bytes"


def environment(secret: str | None = SECRET) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "RTLAB_SECRET"}
    return kept | ({} if secret is None else {"RTLAB_SECRET": secret})


def run(*arguments: str, secret: str | None = SECRET) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*RTLAB, *arguments], capture_output=True, text=True, timeout=WAIT_S * 2, check=False, env=environment(secret)
    )


@pytest.fixture
def in_process(monkeypatch, capsys):
    """Runs a command in this process, which is quicker; gives its exit status, and what it printed."""

    def run_here(*arguments: str, secret: str | None) -> tuple[int, str, str]:
        monkeypatch.delenv("RTLAB_SECRET", raising=False)
        if secret is not None:
            monkeypatch.setenv("RTLAB_SECRET", secret)
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return ended.value.code, *capsys.readouterr()

    return run_here


@contextmanager
def started(*arguments: str, secret: str | None = SECRET, **options):
    """A command that runs on; gives the process and the address that it printed."""
    with subprocess.Popen(
        [*RTLAB, "serve", "chat", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(secret),
        **options,
    ) as process:
        try:
            url = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url), url or process.stderr.read()
            yield process, url
        finally:
            if process.poll() is None:
                process.kill()


def ask(url: str, **options: object) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **options), timeout=WAIT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def test_from_the_secret_to_a_conversation_to_sigterm():
    token = run("token", "alice").stdout.strip()
    with started() as (process, url):
        assert ask(f"{url}/health") == (200, b'{"live": true, "ready": true}')
        assert ask(f"{url}/sign-in", method="POST", data=b"{}")[0] == 404, "only --dev offers it"
        async with connect(url, token=token) as alice:
            await alice.join("lobby")
            assert b"rtlab_chat_connections 1.0" in ask(f"{url}/metrics")[1]
            with pytest.raises(ChatRefusedError):
                await connect(url, token=issue_token("alice", "another secret, long enough as it is"))
            process.send_signal(signal.SIGTERM)
            await alice.next("server:draining", within_s=WAIT_S)
            assert ask(f"{url}/health/live")[0] == 200
            assert ask(f"{url}/health/ready")[0] == 503
            assert ask(f"{url}/socket.io/?EIO=4&transport=polling")[0] == 503, "nobody comes in any more"
            await alice.send("lobby", "those who are here may finish")
            assert (await alice.next("disconnect", within_s=WAIT_S)).data.startswith("transport"), (
                "so that it comes back"
            )
            assert await asyncio.to_thread(process.wait, WAIT_S) == 0
        log = [json.loads(line) for line in process.stderr]
    said = [entry["message"] for entry in log]
    assert {"connected", "draining", "disconnected"} <= set(said)
    refused = log[said.index("refused: token_invalid (Signature verification failed)")]
    assert (refused["reason"], refused["peer"], refused["level"]) == ("token_invalid", "127.0.0.1", "WARNING")
    assert token not in json.dumps(log)


async def test_a_second_signal_does_not_wait():
    with started() as (process, url):
        async with connect(url, token=issue_token("alice", SECRET)) as alice:
            process.send_signal(signal.SIGINT)
            await alice.next("server:draining", within_s=WAIT_S)
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait, WAIT_S) == 0
        assert "Traceback" not in process.stderr.read()


def test_dev_makes_a_secret_up_and_signs_in_by_name():
    with started("--dev", secret=None) as (process, url):
        json_type = {"Content-Type": "application/json"}
        status, body = ask(f"{url}/sign-in", method="POST", data=b'{"username": "alice"}', headers=json_type)
        assert status == 200
        assert json.loads(body)["token"].count(".") == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0


def connection(url: str, begun: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=WAIT_S)
    client.sendall(begun)
    return client


def log_of(process: subprocess.Popen) -> list[dict]:
    """Ends it; gives its log, of which each line has to be one JSON object."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    return [json.loads(line) for line in process.stderr]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_out_of_descriptors_it_pauses_and_says_so_once():
    import resource

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with started(preexec_fn=few) as (process, url):
        inside = [connection(url) for _ in range(100)]
        newcomer = connection(url, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for each in inside:
            each.close()
        assert newcomer.recv(15) == b"HTTP/1.1 200 OK", "it waited, and was not lost"
        newcomer.close()
        said = [entry["message"] for entry in log_of(process)]
    assert sum("accepting pauses" in each for each in said) == 1
    assert sum("accepting goes on" in each for each in said) == 1
    assert len(said) < 6


def test_this_machine_may_have_many_connections():
    with started("--per-address", "2") as (process, url):
        clients = [connection(url, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(20)]
        assert [each.recv(15) for each in clients] == [b"HTTP/1.1 200 OK"] * 20
        for each in clients:
            each.close()
        log_of(process)


JSON_POST = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REFUSED = {
    "no HTTP": b"hello world\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(100) + b"\r\n\r\n",
    "a long field": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "a Host that is none": JSON_POST.replace(b"localhost", b"localhost:99999999") + b"Content-Length: 2\r\n\r\n{}",
    "two lengths": JSON_POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a bad chunk": JSON_POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an encoded body": JSON_POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
    "no such session": b"GET /socket.io/?EIO=4&transport=polling&sid=none HTTP/1.1\r\nHost: a\r\n\r\n",
    "a foreign origin": b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n",
    "an upload that ends": None,
}


def refused(url: str, request: bytes | None) -> None:
    if request is None:
        connection(url, JSON_POST + b"Content-Length: 100\r\n\r\n{").close()
        return
    with connection(url, request) as client:
        assert client.recv(20)[9:10] == b"4", request


SOME_BYTES = 8_000
"""What one kind of refusal leaves in the log in `INTERVAL_S`, at most; each interval begins anew."""


def intervals(began: float) -> int:
    """How many of them were over since then: on a slow machine some."""
    return int((time.monotonic() - began) // INTERVAL_S)


def test_refused_requests_leave_a_few_lines():
    with started("--dev") as (process, url):
        began = time.monotonic()
        for request in REFUSED.values():
            for _ in range(100):
                refused(url, request)
        log = log_of(process)
        most = 25_000 + SOME_BYTES * intervals(began)
    assert len(json.dumps(log)) < most, "some lines for each kind, and not one for each request"
    assert not [each for each in log if "exc_info" in each]


@pytest.mark.long
@pytest.mark.timeout(20 * WAIT_S)
@pytest.mark.parametrize("kind", REFUSED)
def test_ten_thousand_refused_requests_leave_some_kilobytes(kind):
    with started("--dev") as (process, url):
        began = time.monotonic()
        for _ in range(10_000):
            refused(url, REFUSED[kind])
        log = log_of(process)
        most = 40_000 + SOME_BYTES * intervals(began)
    assert len(json.dumps(log)) < most < 1_000_000, "a line for each would be twice as much"
    assert not [each for each in log if "exc_info" in each]


SLOW = {
    "half a head": b"POST /sign-in HTTP/1.1\r\nHost: loc",
    "a body that is read": JSON_POST + b"Content-Length: 1000\r\n\r\n{",
    "a body that is not": b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
    "an answer that is not": b"GET /socket.io.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500,
}


USED_TO_WAIT_S, ROUNDS = 5, 4


@pytest.mark.timeout(15 * WAIT_S)
def test_slow_clients_do_not_hold_it_up():
    """They drip for as long as it goes on. Another one beside it has none. This one takes a second longer on a machine
    that has nothing else to do; it used to wait for five seconds more, every time.
    """
    assert any(waits_for_slow_clients() < USED_TO_WAIT_S for _ in range(ROUNDS))


def waits_for_slow_clients() -> float:
    """How many seconds longer than another one it takes to its end."""
    with started("--dev") as (process, url), started("--dev") as (other, _):
        clients = [connection(url, begun) for begun in SLOW.values() for _ in range(5)]
        ask(f"{url}/health")
        began, took = time.monotonic(), {}
        for each in (other, process):
            each.send_signal(signal.SIGTERM)
        while len(took) < 2:
            for each in clients:
                with contextlib.suppress(OSError):
                    each.send(b" ")
            time.sleep(0.05)
            for each in {other, process} - took.keys():
                if each.poll() is not None:
                    took[each] = time.monotonic() - began
            assert time.monotonic() - began < 3 * WAIT_S, "it does not end"
        for each in clients:
            each.close()
        assert process.returncode == other.returncode == 0
        assert all(json.loads(line) for line in process.stderr)
        return took[process] - took[other]


def test_the_help_tells_what_it_does():
    said = " ".join(run("serve", "chat", "--help").stdout.split())
    deadlines = f"within {HEAD_TIMEOUT_S:g} seconds, its body within {BODY_TIMEOUT_S:g}"
    for each in (f"{SOCKETS:,} connections", deadlines, f"[default: {PER_ADDRESS};", "ulimit -n"):
        assert each in said
    assert (DRAIN_S, INTERVAL_S) == (1, 10), "a second; ten seconds"


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        ([], None, "RTLAB_SECRET is not set"),
        ([], None, "To try the chat on this machine, leave the secret out: rtlab serve chat --dev"),
        ([], "", "RTLAB_SECRET is not set"),
        ([], "short", "at least 32 bytes, got 5"),
        (["--dev"], "short", "at least 32 bytes, got 5"),
        (["--dev", "--host", "0.0.0.0"], None, "this machine only"),
        (["--origin", "*"], SECRET, "Expected an origin"),
        (["--trusted-proxy", "nginx"], SECRET, "trusted_proxies"),
    ],
)
def test_it_refuses_to_start(arguments, secret, said, in_process):
    status, out, err = in_process("serve", "chat", *arguments, secret=secret)
    assert (status, out) == (2, "")
    assert said in err


def test_as_a_program_it_refuses_without_a_traceback():
    result = run("serve", "chat", secret=None)
    assert (result.returncode, result.stdout) == (2, "")
    assert "RTLAB_SECRET is not set" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_taken_port_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "chat", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert re.search(
        r"Port \d+ of 127\.0\.0\.1 is taken by another program: end it, or choose another port", result.stderr
    )
    assert "Traceback" not in result.stderr
    with started() as (_, url):
        result = run("serve", "chat", "--port", url.rpartition(":")[2])
    assert (
        "is taken by another chat of rtlab: end it, or choose another port (--port 0 takes a free one)" in result.stderr
    )


def test_a_token():
    result = run("token", "alice", "--expires", "15m")
    identity = verify(result.stdout.strip(), SECRET)
    assert (identity.user, identity.username) == ("alice", "alice")
    with pytest.raises(Exception, match="ended"):
        verify(result.stdout.strip(), SECRET, now=identity.expires)


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        (["alice"], None, "RTLAB_SECRET is not set"),
        (["alice"], None, "The chat has to have the same one. `rtlab serve chat --dev` prints a token itself."),
        (["alice"], "short", "got 5"),
        (["alice", "--expires", "tomorrow"], SECRET, "90s, 15m, 1h or 7d"),
        (["alice", "--expires", "0s"], SECRET, "90s, 15m, 1h or 7d"),
        ([" "], SECRET, "A token needs a name"),
        ([], SECRET, "USERNAME"),
    ],
)
def test_no_token(arguments, secret, said, in_process):
    status, out, err = in_process("token", *arguments, secret=secret)
    assert (status, out) == (2, "")
    assert said in err
