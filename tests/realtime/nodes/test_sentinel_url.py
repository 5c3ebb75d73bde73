"""URLs of a Redis behind Sentinel: what is read, what is refused, and that no password is told."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import UsageError
from rtlab.realtime.nodes.opening import open_redis, shown
from rtlab.realtime.nodes.sentinel import MOST_SENTINELS, is_sentinel_url, read_sentinel_url

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
SERVICES = NAMES.filter(lambda name: not name.isdecimal() and "secret" not in name)
HOSTS = st.sampled_from(["127.0.0.1", "redis-1.example.org", "[::1]", "[2001:db8::1]", "localhost"])


@given(
    st.lists(st.tuples(HOSTS, st.integers(1, 65535)), min_size=1, max_size=MOST_SENTINELS),
    SERVICES,
    st.none() | st.integers(0, 15),
    st.none() | NAMES.map("secret{}".format),
    st.none() | NAMES.map("secret{}".format),
    st.booleans(),
)
def test_what_was_written_is_read(sentinels, service, db, password, sentinel_password, db_first):
    hosts = ",".join(f"{host}:{port}" for host, port in sentinels)
    words = [quote(service, safe=""), *([] if db is None else [str(db)])]
    path = "/".join(reversed(words) if db_first else words)
    user = "" if password is None else f":{quote(password, safe='')}@"
    query = "" if sentinel_password is None else f"?sentinel_password={quote(sentinel_password, safe='')}"
    url = f"redis+sentinel://{user}{hosts}/{path}{query}"
    assert is_sentinel_url(url)
    found = read_sentinel_url(url)
    assert found.sentinels == tuple((host.strip("[]"), port) for host, port in sentinels)
    assert (found.service, found.tls) == (service, False)
    assert found.server.get("db") == db
    assert found.server.get("password") == password
    assert found.sentinel == ({} if sentinel_password is None else {"password": sentinel_password})
    assert "secret" not in repr(found)
    assert "secret" not in shown(url)


@given(st.text(max_size=60))
def test_whatever_comes_is_read_or_refused_with_a_sentence(text):
    for url in (text, f"redis+sentinel://{text}"):
        with contextlib.suppress(ValueError):
            assert read_sentinel_url(url).service


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+sentinel://127.0.0.1:26379", "the name that the sentinels know the service by"),
        ("redis+sentinel://127.0.0.1:26379/", "the name that the sentinels know the service by"),
        ("redis+sentinel://127.0.0.1:26379/a/b", "the name that the sentinels know the service by"),
        ("redis+sentinel://127.0.0.1:26379/a/1/2", "the name that the sentinels know the service by"),
        ("redis+sentinel:///a", "addresses of sentinels"),
        ("redis+sentinel://h:0/a", "addresses of sentinels"),
        ("redis+sentinel://h:65536/a", "addresses of sentinels"),
        ("redis+sentinel://h,,i/a", "addresses of sentinels"),
        ("redis+sentinel://:secret@[::1/a", "addresses of sentinels"),
        (f"redis+sentinel://{','.join(['h'] * 17)}/a", "16 sentinels at most, got 17"),
        ("redis+sentinel://:secret@h/a?sentinel_passwort=secret", "no option 'sentinel_passwort'"),
        ("redis+sentinel://:secret@h/a?passwort=secret", "unexpected keyword argument 'passwort'"),
        ("redis+sentinel://:secret@h/a?db=x", "Invalid value for 'db'"),
        ("sentinel+redis://:secret@h/a", "redis+sentinel"),
    ],
)
def test_what_is_wrong_is_said_without_a_password(url, says):
    with pytest.raises(UsageError) as caught:
        open_redis(url, 1, 1.0, decode=True)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_options_go_where_they_belong():
    found = read_sentinel_url(
        "valkeys+sentinel://ada:x@h/a?ssl_ca_certs=/ca.pem&sentinel_username=eve&sentinel_password=y&socket_timeout=3"
    )
    assert found.tls
    assert found.sentinels == (("h", 26379),)
    assert found.server == {"username": "ada", "password": "x", "ssl_ca_certs": "/ca.pem", "socket_timeout": 3.0}
    assert found.sentinel == {"username": "eve", "password": "y", "ssl_ca_certs": "/ca.pem", "socket_timeout": 3.0}
