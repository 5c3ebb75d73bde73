"""Who the peer is, whatever a request claims."""

import ipaddress
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.realtime import peer as peers
from rtlab.realtime.peer import HOPS, real_peer, set_peer

OURS = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("remote", "claimed", "peer"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1, 10.0.0.5", "198.51.100.1"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "10.0.0.9", "10.0.0.9"),
        ("127.0.0.1", "what, ever", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, what", "127.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),
        ("/run/chat.sock", "198.51.100.1", "/run/chat.sock"),
        # one form for one address
        ("127.0.0.1", "2001:DB8:0:0:0::7", "2001:db8::7"),
        ("127.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "1.1.1.1, ::ffff:127.0.0.9", "1.1.1.1"),
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("2001:0DB8::0007", "", "2001:db8::7"),
        # a zone is another host's business
        ("127.0.0.1", "fe80::1%eth0", "127.0.0.1"),
        ("127.0.0.1", "::1%x", "127.0.0.1"),
        ("127.0.0.1", "[fe80::1%25eth0]:80", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, fe80::1%eth0, 10.0.0.5", "10.0.0.5"),
        ("fe80::1%eth0", "198.51.100.1", "fe80::1"),
        ("fd00::1%eth0", "198.51.100.1", "198.51.100.1"),
        # ports
        ("127.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("127.0.0.1", "[2001:db8::7]", "2001:db8::7"),
        ("127.0.0.1", "198.51.100.1, [::ffff:10.0.0.5]:80", "198.51.100.1"),
        *[
            ("127.0.0.1", wrong, "127.0.0.1")
            for wrong in (
                "198.51.100.1:",
                "198.51.100.1:x",
                "198.51.100.1:\u0661",
                "[2001:db8::7",
                "[2001:db8::7]x",
                "[]",
                "[]:80",
                "[198.51.100.1]:80",
                "[2001:db8::7]:",
                "2001:db8::7]",
                "unknown",
                "_hidden",
                "198.51.100.1,",
                ",",
                " ",
                "198.51.100.1;10.0.0.1",
                "1.1.1",
                "01.1.1.1",
                "1.1.1.1/8",
                '"198.51.100.1"',
                "for=198.51.100.1",
                "x" * 10_000,
                ":" * 10_000,
                "1." * 10_000,
                "\x00",
            )
        ],
        ("127.0.0.1", " \t198.51.100.1\t ", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1," + "10.0.0.1," * (HOPS - 1) + "10.0.0.1", "10.0.0.1"),
        ("127.0.0.1", "198.51.100.1," + "10.0.0.1," * (HOPS - 2) + "10.0.0.1", "198.51.100.1"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours(remote, claimed, peer):
    assert real_peer(remote, claimed, OURS) == peer


def test_a_strangers_claims_are_taken_out():
    environ = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_HOST": "evil.example", "wsgi.url_scheme": "https"}
    set_peer(environ, "203.0.113.7", 5000, "http", OURS)
    assert environ == {"REMOTE_ADDR": "203.0.113.7", "REMOTE_PORT": "5000", "wsgi.url_scheme": "http"}


def test_a_proxys_are_kept():
    environ = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_FOR": "198.51.100.1", "wsgi.url_scheme": "https"}
    set_peer(environ, "127.0.0.1", 5000, "http", OURS)
    assert environ["REMOTE_ADDR"] == "198.51.100.1"
    assert environ["REMOTE_PORT"] == "0"
    assert environ["wsgi.url_scheme"] == "https"


def test_the_port_is_the_peers_whatever_form_its_address_had():
    for remote, address in (("::ffff:203.0.113.7", "203.0.113.7"), ("fe80::1%eth0", "fe80::1")):
        environ = {}
        set_peer(environ, remote, 5000, "http", OURS)
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (address, "5000")


ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(["10.0.0.1", "fd00::1", "::ffff:10.0.0.2", "::ffff:1.2.3.4"])
ELEMENTS = st.one_of(
    ADDRESSES,
    st.builds("{}:{}".format, ADDRESSES, st.integers(0, 70000)),
    st.builds("[{}]:{}".format, ADDRESSES, st.integers(0, 70000)),
    st.builds("{}%{}".format, ADDRESSES, st.text(max_size=4)),
    st.text(max_size=12),
    st.text("0123456789abcdef:.%[]", max_size=20),
)


@given(ADDRESSES | st.builds("{}%eth0".format, ADDRESSES), st.lists(ELEMENTS, max_size=8).map(",".join))
def test_it_is_a_plain_address_whatever_is_claimed(remote, claimed):
    """Normalised: an address has one spelling, and no zone."""
    found = real_peer(remote, claimed, OURS)
    parsed = ip_address(found)
    assert str(parsed) == found
    assert "%" not in found
    assert getattr(parsed, "ipv4_mapped", None) is None
    if not any(parsed in each for each in OURS):
        assert set_and_read(remote, claimed) == found


def set_and_read(remote: str, claimed: str) -> str:
    environ = {"HTTP_X_FORWARDED_FOR": claimed}
    set_peer(environ, remote, 1, "http", OURS)
    return environ["REMOTE_ADDR"]


def test_a_long_list_costs_no_more_than_a_short_one(monkeypatch):
    asked = []

    def counted(text: str) -> object:
        asked.append(text)
        return ipaddress.ip_address(text)

    monkeypatch.setattr(peers, "ip_address", counted)
    assert real_peer("127.0.0.1", ",".join(["10.0.0.1"] * 5000), OURS) == "10.0.0.1"
    assert len(asked) <= HOPS + 1
