"""The commands that run servers and look at them, as a person runs them."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from deadlines import WAIT_S
from websockets.sync.client import connect

RTLAB = [sys.executable, "-m", "rtlab"]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*RTLAB, *arguments], capture_output=True, text=True, timeout=WAIT_S * 2, check=False)


@contextmanager
def started(*arguments: str):
    """A command that runs on; gives the process."""
    with subprocess.Popen(
        [*RTLAB, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("stack", ["hand", "websockets", "aiohttp"])
def test_serve_echo(stack):
    with started("serve", "echo", "--stack", stack, "--max-message-size", "1000") as process:
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"ws://127\.0\.0\.1:\d+", url), "one line with its URL, once it listens"
        with connect(url) as client:
            client.send("hello")
            assert client.recv(WAIT_S) == "hello"
        with connect(f"{url}/json") as client:
            assert json.loads(client.recv(WAIT_S))["type"] == "welcome"
        with connect(url) as client:
            client.send("x" * 1001)
            with pytest.raises(Exception, match="1009"):
                client.recv(WAIT_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        if stack != "websockets":  # which logs the connection that it closed
            assert process.stderr.read() == ""


def test_ctrl_c_ends_serve_quietly():
    with started("serve", "echo") as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
        assert process.stderr.read() == ""


def test_a_taken_port_says_so():
    with started("serve", "echo") as process:
        port = process.stdout.readline().strip().rpartition(":")[2]
        result = run("serve", "echo", "--port", port)
    assert result.returncode == 2
    assert f"Port {port} is taken" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "echo", "--stack", "twisted"], "'hand', 'websockets', 'aiohttp'"),
        (["serve", "echo", "--stack", "aiohttp", "--max-fragments", "3"], "works with --stack hand only"),
        (["serve", "echo", "--max-message-size", "0"], "--max-message-size"),
        (["bench", "echo", "--rounds", "0"], "--rounds"),
        (["tap", "gopher://127.0.0.1"], "gopher"),
    ],
)
def test_misuse(arguments, said):
    result = run(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_tap_shows_and_saves(tmp_path):
    saved = tmp_path / "talk.jsonl"
    with started("serve", "echo") as server:
        url = server.stdout.readline().strip()
        with started("tap", url, "--save", str(saved)) as process:
            first = process.stdout.readline()
            tapped = re.search(r"ws://127\.0\.0\.1:\d+", first)[0]
            assert tapped != url
            with connect(tapped) as client:
                client.send("hello")
                client.recv(WAIT_S)
            shown = ""
            deadline = time.monotonic() + WAIT_S
            while "CLOSE" not in shown.upper() and time.monotonic() < deadline:
                shown += process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_S) == 130
            warned = process.stderr.read()
    assert f"{saved} will hold all that goes over the wire, tokens and cookies too." in warned
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "hello" in shown
    assert "101" in shown
    assert "\x1b[" not in shown, "NO_COLOR"
    import rtlab

    assert any("hello" in str(row) for row in rtlab.Transcript.load(saved))


def test_bench_echo():
    result = run("bench", "echo", "--rounds", "1", "--seconds", "0.05", "--size", "100", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert {row["stack"] for row in report["rows"]} == {"hand", "websockets", "aiohttp"}
    assert all(row["per_second"] > 0 and row["count"] > 0 for row in report["rows"])
    table = run("bench", "echo", "--rounds", "1", "--seconds", "0.05", "--size", "10")
    assert "messages/s" in table.stdout
    assert "Python" in table.stdout


def test_bench_tap():
    result = run("bench", "tap", "--rounds", "1", "--messages", "50")
    assert result.returncode == 0, result.stderr
    assert "p99" in result.stdout


@pytest.mark.long
def test_bench_durability():
    result = run("bench", "durability", "--rounds", "1", "--messages", "20", "--failovers", "1")
    assert result.returncode == 0, result.stderr
    assert "stored by two servers" in result.stdout
    assert "n = 1" in result.stdout
