"""A child runs, is heard, and never outlives us."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from deadlines import WAIT_S
from eventually import eventually, until

from rtlab.errors import ChildError, UnsupportedPlatformError
from rtlab.servers import supervisor
from rtlab.servers.supervisor import Child

PYTHON = sys.executable
SLEEPER = [PYTHON, "-c", "import time; print('up', flush=True); time.sleep(1000)"]


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def child():
    """A child that sleeps; closed at the end."""
    child = Child(SLEEPER, name="sleeper")
    yield child
    child.close()


def test_output_and_exit_status_are_kept():
    child = Child(
        [PYTHON, "-c", "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"], name="speaker"
    )
    assert child.wait(WAIT_S) == 3
    assert sorted(child.log.tail()) == ["one", "two"]
    assert child.log.tail(1)[0] in {"one", "two"}
    directory = child.directory
    child.close()
    assert not directory.exists()
    assert sorted(child.log.tail()) == ["one", "two"], "the log is readable after the end"
    assert "exit status 3" in repr(child)
    error = child.failure()
    assert isinstance(error, ChildError)
    assert "speaker ended with exit status 3" in str(error)
    assert "one" in str(error)


def test_files_are_there_before_it_starts_for_this_user_only():
    code = "import os, stat; print(open('conf').read(), oct(stat.S_IMODE(os.stat('conf').st_mode)))"
    child = Child([PYTHON, "-c", code], name="reader", files={"conf": b"hello"})
    assert child.wait(WAIT_S) == 0
    assert child.log.tail() == ["hello 0o600"]
    child.close()
    assert not child.directory.exists()


def test_last_words_after_sigterm_are_kept():
    code = "import signal\nsignal.signal(15, lambda *_: exit(print('bye')))\nprint('up', flush=True)\nsignal.pause()"
    child = Child([PYTHON, "-c", code], name="polite")
    eventually(child.log.tail, "the child is up")
    child.close()
    assert child.returncode == 0
    assert child.log.tail() == ["up", "bye"]


@pytest.mark.parametrize("how", ["close", "aclose", "the parent is gone"])
def test_one_that_is_stopped_hears_sigterm_too(how, tmp_path):
    """It goes on, says its last words and ends: nobody waits for SIGKILL."""
    said = tmp_path / "said"
    polite = f"signal.signal(15, lambda *_: exit(print('bye', file=open({str(said)!r}, 'w'))))"
    code = f"import signal\n{polite}\nprint('up', flush=True)\nwhile True: signal.pause()"
    child = Child([PYTHON, "-c", code], name="polite", grace_s=10 * WAIT_S)
    eventually(child.log.tail, "the child is up")
    child.send_signal(signal.SIGSTOP)
    eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    if how == "close":
        child.close()
    elif how == "aclose":
        asyncio.run(child.aclose())
    else:
        child._watchdog.stdin.close()
        eventually(lambda: gone(child.watchdog_pid))
        child.poll()
        child.close()
    assert said.read_text() == "bye\n"
    assert gone(child.pid)


def test_a_program_that_is_not_there():
    with pytest.raises(ChildError, match="Nonesuch could not be started: nonesuch: No such file or directory"):
        Child(["nonesuch"], name="Nonesuch")


def test_a_file_that_is_no_program(tmp_path):
    path = tmp_path / "text"
    path.write_text("hello")
    with pytest.raises(ChildError, match="Permission denied"):
        Child([path], name="Text")


def test_repr_says_what_and_whether(child):
    assert repr(child) == f"<Child sleeper, process {child.pid}, running>"
    child.close()
    assert repr(child) == f"<Child sleeper, process {child.pid}, ended with signal SIGTERM>"
    child.close()  # a second time does nothing


def test_wait_has_a_deadline(child):
    with pytest.raises(TimeoutError, match="sleeper still runs"):
        child.wait(0.01)


async def test_whoever_waits_hears_of_the_end_that_somebody_else_has_read(child):
    """`poll` reads what the watchdog says; whoever waits for that must not wait on."""
    waiting = [asyncio.create_task(child.wait_async()) for _ in range(2)]
    await asyncio.sleep(0)
    child.kill()
    while child.poll() is None:  # without a turn of the event loop: nobody else can have read it
        pass
    async with asyncio.timeout(WAIT_S):
        assert await asyncio.gather(*waiting) == [-signal.SIGKILL] * 2


async def test_wait_async_and_aclose():
    child = Child([PYTHON, "-c", "print('up')"], name="short")
    async with asyncio.timeout(WAIT_S):
        assert await child.wait_async() == 0
        await child.aclose()
        await child.aclose()
    assert not child.directory.exists()


async def test_several_tasks_may_wait():
    child = Child(SLEEPER, name="sleeper")
    async with asyncio.timeout(WAIT_S):
        waiting = [asyncio.create_task(child.wait_async()) for _ in range(4)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait({waiting[1]})
        child.kill()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [result for result in done if not isinstance(result, BaseException)] == [-signal.SIGKILL] * 3
        await child.aclose()


async def test_aclose_does_not_block_the_loop():
    deaf = [
        PYTHON,
        "-c",
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(1000)",
    ]
    child = Child(deaf, name="deaf", grace_s=0.3)
    await until(child.log.tail, "it is up")
    async with asyncio.timeout(WAIT_S):
        closing = asyncio.create_task(child.aclose())
        turns = 0
        while not closing.done():
            await asyncio.sleep(0.01)
            turns += 1
    assert turns > 3, "the loop ran on while the child was being ended"
    assert child.returncode == -signal.SIGKILL
    assert gone(child.pid)


def test_who_ignores_sigterm_is_killed():
    deaf = [
        PYTHON,
        "-c",
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(1000)",
    ]
    child = Child(deaf, name="deaf", grace_s=0.1)
    eventually(child.log.tail, "the child is up")
    child.close()
    assert child.returncode == -signal.SIGKILL
    assert gone(child.pid)


def test_the_rest_of_the_group_goes_too():
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '1000']).pid, flush=True); time.sleep(1000)"
    child = Child([PYTHON, "-c", code], name="parent")
    grandchild = int(eventually(child.log.tail, "the grandchild is up")[0])
    child.close()
    assert gone(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="child subreapers are a Linux thing")
def test_daemons_go_too():
    """A grandchild in a session of its own, whose parent has ended, is found all the same."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)"
    child = Child([PYTHON, "-c", code], name="daemoniser")
    assert child.wait(WAIT_S) == 0
    daemon = int(child.log.tail()[0])
    assert not gone(daemon)
    assert daemon in {each.pid for each in psutil.Process(child.watchdog_pid).children(recursive=True)}
    child.close()
    assert gone(daemon)


def test_the_port_of_an_inherited_socket_is_free_after_the_end():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    child = Child(SLEEPER, name="holder", pass_fds=[listener.fileno()])
    listener.close()
    socket.create_connection(("127.0.0.1", port)).close()  # the child holds the socket
    child.kill()
    child.wait(WAIT_S)
    with pytest.raises(ConnectionRefusedError):  # already before close: the watchdog holds no copy
        socket.create_connection(("127.0.0.1", port))
    child.close()


def test_a_stopped_watchdog_is_woken(child):
    """Its child may send it SIGSTOP: they are of one user."""
    os.kill(child.watchdog_pid, signal.SIGSTOP)
    child.close()
    assert gone(child.watchdog_pid)
    assert not child.directory.exists()


def test_a_log_whose_file_was_taken_away_says_what_was_printed(child):
    eventually(child.log.tail, "it is up")
    child.log.path.unlink()
    os.mkfifo(child.log.path)
    assert child.log.tail() == ["up"]
    child.close()
    assert child.log.tail() == ["up"]


def test_a_killed_watchdog_takes_its_child_along(child):
    os.kill(child.watchdog_pid, signal.SIGKILL)
    eventually(lambda: not child.running, "the loss of the watchdog is noticed")
    eventually(lambda: gone(child.pid), "the child ends")
    child.close()
    assert child.returncode == -signal.SIGKILL
    assert not child.directory.exists()


PARENT = """
import multiprocessing, os, sys, time
from rtlab.servers.supervisor import Child
child = Child([sys.executable, "-c", "import time; time.sleep(1000)"], name="sleeper")
if "forked" in sys.argv:
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,)).start()
print(child.pid, child.watchdog_pid, child.directory, flush=True)
match sys.argv[1]:
    case "abort": os.abort()
    case "exit": os._exit(5)
    case "raise": raise SystemExit("an error")
time.sleep(1000)
"""


@pytest.mark.parametrize("end", ["kill", "kill forked", "abort", "exit", "raise", "interrupt", "hang up"])
def test_nothing_outlives_the_parent(end):
    """However the parent ends: its child, the watchdog and the private directory go."""
    with subprocess.Popen(
        [PYTHON, "-c", PARENT, *end.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as parent:
        try:
            assert parent.stdout is not None
            pid, watchdog, directory = parent.stdout.readline().split()
            if end.startswith("kill"):
                parent.kill()
            elif end == "interrupt":
                parent.send_signal(signal.SIGINT)
            elif end == "hang up":
                parent.send_signal(signal.SIGHUP)
            parent.wait(WAIT_S)
            eventually(lambda: gone(int(pid)), "the child ends")
            eventually(lambda: gone(int(watchdog)), "the watchdog ends")
            eventually(lambda: not Path(directory).exists(), "the directory goes")
        finally:  # a forked process holds a copy of the lifeline to the end
            with contextlib.suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)


IGNORANT = """
import signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
from rtlab.servers.supervisor import Child
status = "import re, sys; print(re.findall('Sig(?:Blk|Ign):.([0-9a-f]+)', open('/proc/self/status').read()))"
child = Child([sys.executable, "-I", "-S", "-c", status], name="status")
child.wait()
print(child.log.tail()[-1])
child.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_gets_every_signal_whatever_its_parent_ignores_and_blocks():
    """As under nohup, in the background of a shell, or below a program that blocks signals."""
    said = subprocess.run([PYTHON, "-c", IGNORANT], capture_output=True, text=True, timeout=WAIT_S, check=True).stdout
    blocked, ignored = (int(each, 16) for each in re.findall(r"[0-9a-f]{16}", said))
    assert blocked == 0
    left = {number for number in signal.valid_signals() if ignored >> (number - 1) & 1}
    assert left <= {signal.SIGPIPE, signal.SIGXFSZ}, "those two are Python's own"


@pytest.mark.long
def test_these_tests_pass_where_signals_are_ignored():
    """As under nohup: what tests start has to hear SIGHUP and SIGINT all the same."""
    these = [f"{__file__}::test_nothing_outlives_the_parent[{end}]" for end in ("interrupt", "hang up")]
    code = "import os, signal, sys\nfor number in (1, 2, 3): signal.signal(number, signal.SIG_IGN)\n"
    code += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [PYTHON, "-c", code, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *these]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S * 3, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_children_do_not_hear_ctrl_c():
    """SIGINT goes to the process group of whoever sits in front of the terminal, and a child is not in it."""
    code = textwrap.dedent("""
        import os, signal, sys, time
        from rtlab.servers.supervisor import Child
        signal.signal(signal.SIGINT, lambda *_: None)
        child = Child([sys.executable, "-c", "import time; time.sleep(1000)"], name="sleeper")
        os.killpg(0, signal.SIGINT)
        time.sleep(0.1)
        print(child.running)
        child.close()
    """)
    result = subprocess.run(
        [PYTHON, "-c", code], capture_output=True, text=True, timeout=WAIT_S, start_new_session=True, check=True
    )
    assert result.stdout == "True\n"


def test_on_windows_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(supervisor.sys, "platform", "win32")
    with pytest.raises(UnsupportedPlatformError, match="WSL"):
        Child(SLEEPER, name="sleeper")
