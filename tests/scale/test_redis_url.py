"""What is shown of a Redis URL, and what is said where nothing answers there."""

from __future__ import annotations

import socket

import pytest

from rtlab.errors import UsageError
from rtlab.realtime.nodes.opening import shown
from rtlab.scale import broker as module
from rtlab.scale.broker import start_broker
from rtlab.servers.ports import free_port


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://ada:secret@127.0.0.1:{port}/3", "PING got no answer there"),
        ("redis://127.0.0.1:{port}?password=secret", "PING got no answer there"),
        ("http://127.0.0.1:{port}", "redis://, rediss://, unix://"),
        ("localhost", "redis://, rediss://, unix://"),
        ("redis://:secret@[::1", "Invalid IPv6 URL"),
        ("redis://127.0.0.1:{port}/0?password=secret&db=x", "Invalid value for 'db'"),
        ("redis://127.0.0.1:{port}/0?passwort=secret", "unexpected keyword argument 'passwort'"),
    ],
)
async def test_a_wrong_address_is_an_error_that_tells_no_password(url, says, monkeypatch):
    monkeypatch.setenv("REDIS_URL", url.format(port=free_port()))
    with pytest.raises(UsageError) as caught:
        await start_broker()
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "READY_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(UsageError, match=r"no answer within 0\.5 s"):
            await start_broker()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://ada:secret@example.org:6379/0", "redis://ada:…@example.org:6379/0"),
        ("redis://:secret@example.org", "redis://:…@example.org"),
        ("redis://example.org?password=secret", "redis://example.org?password=…"),
        ("redis://example.org?secret", "redis://example.org?…"),
        (
            "rediss://h/1?ssl_ca_certs=/a/ca.pem&ssl_password=secret",
            "rediss://h/1?ssl_ca_certs=/a/ca.pem&ssl_password=…",
        ),
        ("unix://ada:secret@/tmp/socket", "unix://ada:…@/tmp/socket"),
        ("redis://:secret@[::1", "redis:…"),
    ],
)
async def test_your_password_stands_in_the_url_but_not_in_the_repr(url, says):
    broker = module.Broker(url, "your own")
    assert repr(broker) == f"<Broker {says}, your own, running>"
    with pytest.raises(UsageError) as caught:
        _ = broker.log
    assert shown(url) in str(caught.value)
