"""How many replicas have to have a message: what may be said, and where it comes from."""

import pytest

from rtlab.chat import create_app
from rtlab.chat.app_options import replicas_of
from rtlab.errors import UsageError

URL = "redis://127.0.0.1:1"


@pytest.mark.parametrize("given", [-1, 101, True, "1", 1.0])
def test_what_is_no_number_of_replicas_is_said(given):
    with pytest.raises(UsageError, match=r"min_replicas=: expected a whole number from 0 to 100, got "):
        replicas_of(given, URL)


def test_without_redis_there_is_nothing_to_replicate():
    with pytest.raises(UsageError, match="expected redis="):
        create_app(secret="x" * 40, min_replicas=1)
    assert replicas_of(0, None) == replicas_of(None, None) == 0


def test_a_worker_takes_it_from_its_environment_and_nobody_else(monkeypatch):
    monkeypatch.setenv("RTLAB_REPLICAS", "1")
    assert replicas_of(None, URL) == 0
    monkeypatch.setenv("RTLAB_WORKER", "worker-1")
    assert replicas_of(None, URL) == 1
    assert replicas_of(0, URL) == 0, "what is given counts"
    monkeypatch.setenv("RTLAB_REPLICAS", "one")
    with pytest.raises(UsageError, match="RTLAB_REPLICAS=: expected a whole number"):
        replicas_of(None, URL)
