"""A port for whoever has to be told one: the system gives it to nobody else meanwhile."""

import socket
import sys
from pathlib import Path

import pytest

from rtlab.servers import ports
from rtlab.servers.ports import PORTS, free_port

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_one_can_listen_there():
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        assert listener.getsockname()[1] in PORTS


@pytest.mark.skipif(sys.platform != "linux", reason="the range is read as Linux tells it")
def test_none_of_those_that_the_system_gives():
    lowest = int(RANGE.read_text().split()[0])
    if lowest < PORTS.stop:
        pytest.skip(f"this machine's own range begins at {lowest}")
    assert free_port() < lowest


def test_a_port_that_is_taken_is_passed_over(monkeypatch):
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        taken = listener.getsockname()[1]
        monkeypatch.setattr(ports, "PORTS", [taken])
        assert free_port() != taken, "in the end the system is asked"


def test_an_address_that_is_not_ours_is_an_error():
    with pytest.raises(OSError, match="assign"):
        free_port("192.0.2.1")
