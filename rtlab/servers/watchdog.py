"""The watchdog: a small process between us and each child, so that no child outlives us.

What lives here: a script that the supervisor starts (never imported by it). It must not need anything beyond
the standard library, because it runs as ``python -I -S``, which starts in about 15 ms.

The law:

- Standard input is the *lifeline*, a pipe whose other end only the parent holds. The kernel closes that end when
  the parent ends, however it ends; SIGKILL included. A closed lifeline ends the child and all that it started.
- The child runs in a session of its own, so that the interrupt button and Ctrl-C, which go to the parent's
  process group, do not reach it.
- On Linux the watchdog is a *child subreaper* (prctl(2)): whatever the child starts, in whatever session, becomes
  the watchdog's own descendant and is found. Elsewhere the child's process group is what is ended.
- The watchdog stays until the lifeline closes, also when its child has ended before. Then it removes the child's
  private directory. So that directory lives exactly as long as the parent wants it.

What it says, one line each, on the status pipe: ``started PID``, ``failed ERRNO``, ``exit STATUS`` (negative for a
signal, as in `subprocess`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent ends."""
PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphaned descendants become children of this process."""
LOOK_S = 1.0
"""How often the watchdog looks whether its parent is still its parent. Second line of defence: a fork of the
parent (multiprocessing) may hold a copy of the lifeline."""
ROUNDS = 100
"""How many rounds of killing are tried against a child that starts processes while it is being ended."""


def main(arguments: list[str]) -> int:
    """Start the command, report on it, and end it when the lifeline closes.

    Arguments: status descriptor, process id of the parent, seconds between SIGTERM and SIGKILL, private directory
    to remove at the end (or an empty string), ``--``, command.
    """
    status = int(arguments[0])
    parent = int(arguments[1])
    grace_s = float(arguments[2])
    directory = arguments[3]
    command = arguments[5:]
    os.set_inheritable(status, False)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # what our parent blocks is blocked neither here nor in the child
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    os.set_blocking(wake_reader, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    control(PR_SET_CHILD_SUBREAPER, 1)

    child, error = start(command)
    if child:
        close_all_but({status, wake_reader, wake_writer})
        say(status, f"started {child}")
        if not attend(child, status, parent, wake_reader):
            end(child, status, grace_s)
        sweep(child)
    else:
        say(status, f"failed {error}")
    if directory:
        import shutil

        shutil.rmtree(directory, ignore_errors=True)
    return 0


def start(command: list[str]) -> tuple[int, int]:
    """Fork and exec the command in a session of its own. Gives its process id and 0, or 0 and the errno of exec."""
    report, reporter = os.pipe()  # closed by a successful exec, as Python's descriptors are
    child = os.fork()
    if child:
        os.close(reporter)
        error = os.read(report, 16)
        os.close(report)
        return (0, int(error)) if error else (child, 0)
    try:
        os.setsid()
        control(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        reset_signals()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.execvpe(command[0], command, os.environ)  # noqa: S606 - no shell is what we want
    except OSError as problem:
        os.write(reporter, str(problem.errno).encode())
    finally:
        os._exit(127)


def reset_signals() -> None:
    """Give the child every signal as a program expects it, whatever we have inherited: under nohup SIGHUP is ignored,
    in a shell's background SIGINT, and Python itself ignores SIGPIPE. What is ignored stays so across exec; handlers
    do not."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def close_all_but(kept: set[int]) -> None:
    """Close the descriptors that were only passing through to the child: a listening socket, say, whose port
    would otherwise stay open as long as the watchdog lives."""
    low = 3
    for number in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(low, number)
        low = number + 1


def attend(child: int, status: int, parent: int, wake_reader: int) -> bool:
    """Wait until the lifeline closes. Tells whether the child had ended by then."""
    ended = False
    while True:
        readable, _, _ = select.select([0, wake_reader], [], [], LOOK_S)
        asked = wake_reader in readable and signal.SIGTERM in os.read(wake_reader, 4096)
        if not ended:
            ended = report_exit(child, status)
        reap_orphans(child)
        if asked or (0 in readable and not os.read(0, 4096)) or os.getppid() != parent:
            return ended


def end(child: int, status: int, grace_s: float) -> None:
    """Ask the child's group to end, and insist after `grace_s` seconds."""
    signal_group(child, signal.SIGTERM)
    signal_group(child, signal.SIGCONT)  # one that is stopped would never hear of it
    deadline = time.monotonic() + grace_s
    while not report_exit(child, status):
        if time.monotonic() > deadline:
            signal_group(child, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.005)


def sweep(child: int) -> None:
    """Kill what is left: the child's group and, on Linux, every descendant in whatever session."""
    for _ in range(ROUNDS):
        signal_group(child, signal.SIGKILL)
        left = [pid for pid, _, state in descendants() if state != b"Z"]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            break
        time.sleep(0.005)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def report_exit(child: int, status: int) -> bool:
    """Tell whether the child has ended, and say so with its exit status.

    The ended child stays a zombie until the watchdog itself ends, so that its process id, which is also the id
    of its group, cannot be given to a stranger before the last `signal_group`. (waitid(2) is there on Linux, and
    on macOS from Python 3.13 on.)
    """
    if hasattr(os, "waitid"):
        result = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return False
        code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
    else:
        pid, word = os.waitpid(child, os.WNOHANG)
        if pid == 0:
            return False
        code = os.waitstatus_to_exitcode(word)
    say(status, f"exit {code}")
    return True


def reap_orphans(child: int) -> None:
    """Collect ended processes that this subreaper has adopted, as init would."""
    for pid, parent, state in descendants():
        if parent == os.getpid() and pid != child and state == b"Z":
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def descendants() -> list[tuple[int, int, bytes]]:
    """Process id, parent's process id and state (proc(5)) of every descendant; empty where there is no /proc."""
    table: dict[int, tuple[int, bytes]] = {}
    if LINUX:
        for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib takes longer to load than all of this runs
            if entry.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                    table[int(entry)] = (int(parent), state)
    found: list[tuple[int, int, bytes]] = []
    generation = {os.getpid()}
    while generation:
        younger = [(pid, parent, state) for pid, (parent, state) in table.items() if parent in generation]
        found += younger
        generation = {pid for pid, _, _ in younger}
    return found


def signal_group(child: int, number: int) -> None:
    """Send a signal to the child's process group, if there is anyone left in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)


def control(option: int, value: int) -> None:
    """Call prctl(2) on Linux; elsewhere do nothing."""
    if LINUX:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def say(status: int, line: str) -> None:
    """Write one line to the status pipe. A parent that is gone does not matter."""
    with contextlib.suppress(OSError):
        os.write(status, line.encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
