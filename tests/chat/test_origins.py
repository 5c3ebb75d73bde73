"""Whose pages may connect."""

import pytest

from rtlab.chat.origins import Origins
from rtlab.errors import UsageError

HERE = {"wsgi.url_scheme": "http", "HTTP_HOST": "chat.example:8000"}


def test_this_site_and_the_named_ones():
    allowed = Origins(["https://app.example", "http://localhost:3000"])
    assert allowed("http://chat.example:8000", HERE)
    assert allowed("https://app.example", HERE)
    assert allowed("http://localhost:3000", HERE)
    assert allowed(None, HERE), "no browser's"


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "https://chat.example:8000", "http://chat.example", "http://chat.example:80001",
        "http://chat.example:8000.evil.example", "https://app.example.evil.example", "https://evil.example",
        "http://app.example", "https://app.example/", "http://localhost:30000",
    ],
)  # fmt: skip
def test_others_do_not(origin):
    assert not Origins(["https://app.example", "http://localhost:3000"])(origin, HERE)


def test_behind_a_proxy_that_is_believed():
    proxied = HERE | {"HTTP_X_FORWARDED_PROTO": "https, http", "HTTP_X_FORWARDED_HOST": "chat.example, inner"}
    assert Origins([])("https://chat.example", proxied)
    assert not Origins([])("http://chat.example:8000", proxied)


@pytest.mark.parametrize(
    "origin",
    [
        "*", "chat.example", "https://chat.example/", "ftp://chat.example", "null", "", "http://[", "http://[::1",
        "http://a b",
        "http://x:abc", "https://x:99999", "https://x:0", "http://a\u3164", "http://ä.example", "https://u:p@h",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused_at_the_start(origin):
    with pytest.raises(UsageError, match="Expected an origin such as"):
        Origins([origin])


def test_a_string_is_no_list():
    with pytest.raises(UsageError, match="list of origins"):
        Origins("https://chat.example")
