"""The chat as a program: `rtlab serve chat` and `rtlab token`, as a person runs them."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from deadlines import WAIT_S

from rtlab.chat import ChatRefusedError, connect, issue_token, verify

RTLAB = [sys.executable, "-m", "rtlab"]
SECRET = "a secret of the tests, longer than 32 bytes"


def environment(secret: str | None = SECRET) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "RTLAB_SECRET"}
    return kept | ({} if secret is None else {"RTLAB_SECRET": secret})


def run(*arguments: str, secret: str | None = SECRET) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*RTLAB, *arguments], capture_output=True, text=True, timeout=WAIT_S * 2, check=False, env=environment(secret)
    )


@contextmanager
def started(*arguments: str, secret: str | None = SECRET):
    """A command that runs on; gives the process and the address that it printed."""
    with subprocess.Popen(
        [*RTLAB, "serve", "chat", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(secret),
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
    assert {"connected", "refused", "draining", "disconnected"} <= set(said)
    refused = log[said.index("refused")]
    assert (refused["reason"], refused["peer"], refused["level"]) == ("token_invalid", "127.0.0.1", "INFO")
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


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        ([], None, "RTLAB_SECRET is not set"),
        ([], "", "RTLAB_SECRET is not set"),
        ([], "short", "at least 32 bytes, got 5"),
        (["--dev"], "short", "at least 32 bytes, got 5"),
        (["--dev", "--host", "0.0.0.0"], None, "this machine only"),
        (["--origin", "*"], SECRET, "Expected an origin"),
        (["--host", "no.such.host.invalid"], SECRET, "Cannot listen on no.such.host.invalid"),
        (["--trusted-proxy", "nginx"], SECRET, "trusted_proxies"),
    ],
)
def test_it_refuses_to_start(arguments, secret, said):
    result = run("serve", "chat", *arguments, secret=secret)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_taken_port_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "chat", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "Cannot listen on 127.0.0.1, port" in result.stderr
    assert "Traceback" not in result.stderr


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
        (["alice"], "short", "got 5"),
        (["alice", "--expires", "tomorrow"], SECRET, "90s, 15m, 1h or 7d"),
        (["alice", "--expires", "0s"], SECRET, "90s, 15m, 1h or 7d"),
        ([" "], SECRET, "A token needs a name"),
        ([], SECRET, "USERNAME"),
    ],
)
def test_no_token(arguments, secret, said):
    result = run("token", *arguments, secret=secret)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
