"""Tokens: who can make one, and what is wrong with the others."""

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.chat.auth import CLOCK_SKEW_S, Identity, check_secret, issue_token, verify
from rtlab.errors import InvalidToken, UsageError

SECRET = "a secret of the tests, long enough for SHA-512 too: 64 bytes and more"
NOW = 1_800_000_000.0


def signed(secret: str | None = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    given = {"sub": "alice", "username": "Alice", "exp": NOW + 60} | claims
    return jwt.encode({name: value for name, value in given.items() if value is not ...}, secret, algorithm=algorithm)


def test_an_issued_token_says_who_it_is():
    token = issue_token("Alice", SECRET, user="u-1", expires_s=60, now=NOW)
    assert verify(token, SECRET, now=NOW) == Identity("u-1", "Alice", NOW + 60)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert verify(issue_token("Alice", SECRET, now=NOW), SECRET, now=NOW).user == "Alice", "the name, if nothing else"


def test_it_ends_at_its_end():
    token = signed()
    assert verify(token, SECRET, now=NOW + 59.999)
    with pytest.raises(InvalidToken) as error:
        verify(token, SECRET, now=NOW + 60)
    assert error.value.code == "token_expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_the_issuers_clock_may_be_a_little_ahead(claim):
    assert verify(signed(**{claim: NOW + CLOCK_SKEW_S}), SECRET, now=NOW)
    with pytest.raises(InvalidToken) as error:
        verify(signed(**{claim: NOW + CLOCK_SKEW_S + 1}), SECRET, now=NOW)
    assert error.value.code == "token_invalid"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(None, id="none"),
        pytest.param(7, id="a number"),
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="garbage"),
        pytest.param("\ud83d", id="half a pair"),
        pytest.param("x" * 5000, id="too long"),
        pytest.param(signed(secret="another secret that is long enough too"), id="another secret"),
        pytest.param(signed(algorithm="HS512"), id="another algorithm"),
        pytest.param(signed(secret=None, algorithm="none"), id="unsigned"),
        pytest.param(signed(exp=...), id="no end"),
        pytest.param(signed(sub=...), id="nobody"),
        pytest.param(signed(username=...), id="no name"),
        pytest.param(signed(username="a\nb"), id="a name of two lines"),
        pytest.param(signed(username="x" * 33), id="a long name"),
        pytest.param(signed(username=["a"]), id="names"),
        pytest.param(signed(sub=""), id="an empty id"),
        pytest.param(signed(aud="somebody else"), id="meant for others"),
        pytest.param(signed() + " ", id="a blank"),
        pytest.param(signed()[:-1], id="cut"),
    ],
)  # fmt: skip
def test_it_is_refused(token):
    with pytest.raises(InvalidToken) as error:
        verify(token, SECRET, now=NOW)
    assert error.value.code == "token_invalid"


@pytest.mark.parametrize("exp", ["soon", None, True, [NOW + 60], float("inf"), float("nan"), 10**400])
def test_an_end_is_a_number(exp):
    """PyJWT does not sign all of these, so the test does."""
    import base64
    import hashlib
    import hmac
    import json

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = part(b'{"alg":"HS256","typ":"JWT"}')
    body = part(json.dumps({"sub": "alice", "username": "Alice", "exp": exp}).encode())
    signature = part(hmac.digest(SECRET.encode(), f"{head}.{body}".encode(), hashlib.sha256))
    with pytest.raises(InvalidToken):
        verify(f"{head}.{body}.{signature}", SECRET, now=NOW)


@given(st.text() | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}", fullmatch=True))
def test_anything_else_is_refused_and_nothing_breaks(token):
    with pytest.raises(InvalidToken):
        verify(token, SECRET)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_short_secret_is_refused_everywhere(secret):
    for use in (lambda: check_secret(secret), lambda: issue_token("a", secret), lambda: verify("t", secret)):
        with pytest.raises(UsageError, match=f"at least 32 bytes, got {len(secret)}"):
            use()


def test_bytes_count_not_characters():
    assert len(check_secret("é" * 16)) == 32


@pytest.mark.parametrize("name", ["", " a", "a" * 33, "a\x00b", "a\u202eb", "a\u200d", "\u3164", "\ue000", "a\ud83d"])
def test_nobody_gets_a_token_that_would_be_refused(name):
    with pytest.raises(UsageError, match="A token needs a name"):
        issue_token(name, SECRET)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_token_lasts(seconds):
    with pytest.raises(UsageError, match="positive number of seconds"):
        issue_token("a", SECRET, expires_s=seconds)
