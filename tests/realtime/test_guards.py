"""The guards' switches."""

import ast
import copy
import pickle
import re
from dataclasses import fields, replace
from inspect import getdoc

import pytest

from rtlab.errors import UnknownOptionError, UsageError
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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"trusted_proxies": "127.0.0.1"},
            r"several strings, in a tuple or a list. Write: trusted_proxies=\('127.0.0.1',\)",
        ),
        ({"trusted_proxies": None}, "several strings"),
        ({"trusted_proxies": [127]}, "several strings"),
        ({"kept_headers": "User-Agent"}, r"Write: kept_headers=\('User-Agent',\)"),
        ({"strict_packets": "yes"}, "expected True or False"),
        ({"strict_packets": None}, "expected True or False"),
        ({"connect_timeout_s": "45"}, "expected a positive number"),
        ({"connect_timeout_s": (45, 5)}, "expected a positive number"),
        ({"packets_per_s": True}, "expected a positive number"),
        ({"packets_per_s": float("nan")}, "expected a positive number"),
        ({"max_queued_bytes": False}, "expected a positive number without a fraction, or None"),
        ({"max_queued_bytes": "4MB"}, "expected a positive number"),
        ({"max_queued_bytes": 1e6}, "expected a positive number without a fraction"),
        ({"max_attachments": None}, "expected a positive number"),
    ],
)
def test_a_value_of_the_wrong_kind(given, said):
    (name,) = given
    with pytest.raises(UsageError, match=rf"Guards\({name}=.*{said}"):
        Guards(**given)
    with pytest.raises(UsageError, match=said):
        replace(Guards(), **given)


@pytest.mark.parametrize(("wrong", "right"), [("max_handler", "max_handlers"), ("trusted_proxy", "trusted_proxies")])
def test_a_guard_that_there_is_not(wrong, right):
    with pytest.raises(UnknownOptionError, match=rf"Guards\({wrong}=…\): .*Did you mean '{right}'"):
        Guards(**{wrong: 3})
    with pytest.raises(UnknownOptionError, match=f"Did you mean '{right}'"):
        Guards().without(wrong)


def test_what_is_copied_stays_the_same():
    some = Guards(max_handlers=3, trusted_proxies=["127.0.0.1"])
    assert some == copy.deepcopy(some) == pickle.loads(pickle.dumps(some)) == replace(some)


def test_help_explains_each_guard_with_its_default():
    found = re.findall(r"^    (\w+): (.*) \(default (.*?)\)(?: of|\.| that)", getdoc(Guards), re.MULTILINE)
    assert [name for name, _, _ in found] == [each.name for each in fields(Guards)]
    for name, unit, default in found:
        assert unit
        assert ast.literal_eval(default) == getattr(Guards(), name), name
