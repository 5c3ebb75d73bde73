"""The guards' switches."""

from dataclasses import fields

import pytest

from rtlab.errors import UsageError
from rtlab.realtime import Guards


@pytest.mark.parametrize(
    "name", ["connect_timeout_s", "max_queued_bytes", "max_packets_per_payload", "max_attachments"]
)
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_is_positive(name, value):
    with pytest.raises(UsageError, match=rf"Guards\({name}={value}\): expected a positive number"):
        Guards(**{name: value})


@pytest.mark.parametrize("proxy", ["here", "10.0.0.1/8", "300.1.1.1"])
def test_a_proxy_is_an_address_or_a_network(proxy):
    with pytest.raises(UsageError, match="trusted_proxies"):
        Guards(trusted_proxies=[proxy])


def test_each_guard_can_be_switched_off_alone():
    off = Guards.none()
    for each in fields(Guards):
        without = Guards().without(each.name)
        assert getattr(without, each.name) == getattr(off, each.name)
        others = [other.name for other in fields(Guards) if other.name != each.name]
        assert all(getattr(without, other) == getattr(Guards(), other) for other in others)


def test_none_leaves_nothing_on():
    assert not any(getattr(Guards.none(), each.name) for each in fields(Guards) if each.name != "max_attachments")
