"""`rtlab soak`, as a person runs it."""

import os
import re
import signal
import subprocess
import sys

import psutil
import pytest
from deadlines import WAIT_S
from eventually import eventually

import rtlab
from rtlab.errors import MissingProgramError
from rtlab.servers import programs

RTLAB = [sys.executable, "-m", "rtlab"]
SMALL = ["soak", "--workers", "1", "--clients", "2", "--durability", "memory", "--faults", "connections_cut"]

try:
    programs.nginx()
    programs.valkey()
    needs_cluster = pytest.mark.timeout(WAIT_S * 6)
except MissingProgramError as error:
    needs_cluster = pytest.mark.skip(str(error))


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*RTLAB, *arguments], capture_output=True, text=True, timeout=WAIT_S * 5, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--faults", "worker_kiled"], "there is no fault 'worker_kiled'"),
        (["--faults", "failover", "--durability", "disk"], "Choose durability replica"),
        (["--messages", "3"], "12 faults need 24 messages"),
        (["--clients", "51"], "clients=51: expected a whole number from 2 to 50"),
        (["--durability", "tape"], "'tape' is not one of"),
        (["--minutes", "0"], "0.0 is not in the range"),
    ],
)
def test_misuse(arguments, said):
    done = run("soak", *arguments)
    assert done.returncode == 2
    assert said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path):
    done = run("soak", "--save", str(tmp_path / "nowhere" / "history.json"))
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr


@pytest.mark.long
@needs_cluster
def test_a_round_is_judged_shown_and_saved(tmp_path):
    path = tmp_path / "history.json"
    done = run(*SMALL, "--messages", "30", "--seed", "7", "--save", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pass: seed 7, 30 messages, 2 clients, 1 workers, memory, 1 faults")
    assert "connections_cut" in done.stdout
    assert "\x1b" not in done.stdout
    assert rtlab.check(rtlab.History.load(path)).result == "pass"
    assert run("check", str(path)).returncode == 0


@pytest.mark.long
@needs_cluster
def test_rounds_follow_each_other_for_as_long_as_they_may():
    done = run(*SMALL, "--messages", "40", "--minutes", "0.15", "--rate", "1000")
    assert done.returncode == 0, done.stderr
    seeds = [int(each) for each in re.findall(r"^pass: seed (\d+)", done.stdout, re.MULTILINE)]
    assert seeds == list(range(1, len(seeds) + 1))
    assert seeds


@pytest.mark.long
@needs_cluster
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(times):
    """Once: what there is is judged, and where that is too little the verdict is unknown. Twice: it ends. Nothing is
    left, either way.
    """
    command = [*RTLAB, *SMALL, "--messages", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            mine = eventually(lambda: psutil.Process(process.pid).children(recursive=True))
            eventually(lambda: writes(process.pid))
            mine = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            if times == 2:
                assert "Healing" in process.stderr.readline()
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=WAIT_S * 3)
        finally:
            process.kill()
    assert "Traceback" not in err, err
    if process.returncode == 130:
        assert "Interrupted." in err
    else:
        assert process.returncode in {0, 3}
        assert out.startswith(("pass: seed 1", "unknown: seed 1"))
    assert not psutil.wait_procs(mine, timeout=WAIT_S)[1]


@pytest.mark.long
@needs_cluster
def test_killed_in_the_middle_it_leaves_no_process():
    with subprocess.Popen([*RTLAB, *SMALL, "--messages", "100000"], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: writes(process.pid))
            mine = psutil.Process(process.pid).children(recursive=True)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    assert mine
    assert not psutil.wait_procs(mine, timeout=WAIT_S)[1]


def writes(pid: int) -> bool:
    """Whether its clients are connected, each through its proxy: that takes two connections, and a third end of one."""
    return len([each for each in psutil.Process(pid).net_connections("tcp") if each.status == "ESTABLISHED"]) >= 6
