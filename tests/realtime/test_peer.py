"""Who the peer is, whatever a request claims."""

from ipaddress import ip_network

import pytest

from rtlab.realtime.peer import real_peer, set_peer

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
