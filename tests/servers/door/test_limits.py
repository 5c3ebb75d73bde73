"""How many connections: by address, by network, and by what the system allows."""

import subprocess
import sys

import pytest
from deadlines import WAIT_S

from rtlab.errors import UsageError
from rtlab.servers.door import limits as module
from rtlab.servers.door.limits import RESERVED, SOCKETS, DoorLimits


@pytest.mark.parametrize(
    ("peername", "name"),
    [
        (("192.0.2.1", 50000), "192.0.2.1"),
        (("::ffff:192.0.2.1", 50000, 0, 0), "192.0.2.1"),
        (("2001:db8::1", 50000, 0, 0), "2001:db8::/64"),
        (("2001:db8::ffff:1", 50000, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 50000, 0, 2), "fe80::/64"),
        (("127.0.0.1", 50000), None),
        (("127.9.9.9", 50000), None),
        (("::1", 50000, 0, 0), None),
        (("::ffff:127.0.0.1", 50000, 0, 0), None),
        (("10.1.2.3", 50000), None),
        ("", None),
    ],
)
def test_an_address_counts_as(peername, name):
    limits = DoorLimits(exempt=(*module.THIS_MACHINE, "10.0.0.0/8"))
    assert limits.counted_as(peername) == name
    assert limits.counted_as(peername) == name


@pytest.mark.parametrize(
    ("allowed", "room"), [(None, SOCKETS), (100_000, SOCKETS), (1024, 1024 - RESERVED), (100, 75), (1, 1)]
)
def test_some_descriptors_are_kept_back(allowed, room, monkeypatch):
    monkeypatch.setattr(module, "descriptor_limit", lambda: allowed)
    assert DoorLimits().room() == room


@pytest.mark.parametrize("wrong", [{"sockets": 0}, {"per_address": 0}, {"exempt": ("nginx",)}])
def test_what_is_no_limit(wrong):
    with pytest.raises(UsageError):
        DoorLimits(**wrong)


SCRIPT = """
import resource, sys
from rtlab.servers.door.limits import descriptor_limit, raise_descriptor_limit
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
print(descriptor_limit(), raise_descriptor_limit(128), raise_descriptor_limit(100))
print(raise_descriptor_limit(10**12) == hard)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_the_soft_limit_is_raised_and_never_lowered():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=WAIT_S, check=True)
    assert done.stdout.split() == ["64", "128", "128", "True"]
