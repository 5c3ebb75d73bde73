"""What every test stands on: whatever the tests start and write is gone at the end, and signals arrive; and which file
comes first where several workers share them."""

import contextlib
import os
import signal
import tempfile
from collections import Counter

import psutil
import pytest
from deadlines import WAIT_S
from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # Hypothesis would have seconds on the clock: a machine with other work needs longer


def pytest_configure():
    """What tests start gets every signal, whatever we have inherited: nohup ignores SIGHUP, a background job SIGINT.

    Ignored signals stay ignored across exec, handlers do not. So one that does nothing keeps us as we were, and gives
    our children the default. What was blocked is not.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN and number not in {signal.SIGPIPE, signal.SIGXFSZ}:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


LONGEST = (
    "tests/soak/test_round.py",
    "tests/test_notebooks_twice.py",
    "tests/chat/test_hostile_chat.py",
    "tests/grading/test_wrong_solutions.py",
    "tests/grading/test_wrong_solutions_whole.py",
    "tests/browser/",
    "tests/scale/test_cluster",
    "tests/soak/",
    "notebooks/16_",
    "notebooks/13_",
    "notebooks/12_",
    "notebooks/11_",
)
"""Files that take longest, as their paths begin, the longest first. With ``--dist loadfile`` one worker has a file, and
the last one keeps the others waiting."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """For several workers: the files that take longest come first, then those with most tests.

    It is for ``--no-loadscope-reorder``: pytest-xdist by itself goes by the number of tests alone, and a soak is few.
    """
    if not hasattr(config, "workerinput"):
        return
    files = [item.nodeid.partition("::")[0] for item in items]
    tests = Counter(files)

    def place(file):
        first = (number for number, beginning in enumerate(LONGEST) if file.startswith(beginning))
        return next(first, len(LONGEST)), -tests[file], file

    order = sorted(range(len(items)), key=lambda number: place(files[number]))  # stable: within a file all is as it was
    items[:] = [items[number] for number in order]


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory):
    """Temporary files go to a folder of this session; after the last test no process and no directory may be left.

    What is left all the same is ended: it would stay for as long as the machine runs.
    """
    folder = tmp_path_factory.mktemp("temporary")
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    yield
    tempfile.tempdir = before[1]
    if before[0] is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before[0]
    _, alive = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=WAIT_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not alive, "processes were left"
    assert not list(folder.glob("rtlab-*")), "temporary directories are left"
