"""What every test stands on: whatever the tests start and write is gone at the end."""

import os
import tempfile

import psutil
import pytest
from deadlines import WAIT_S


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory):
    """Temporary files go to a folder of this session; after the last test no process and no directory may be left."""
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
    assert not alive, "processes are left"
    assert not list(folder.glob("rtlab-*")), "temporary directories are left"
