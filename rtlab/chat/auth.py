"""Who a client is: tokens that only the holder of the secret can make.

What lives here: `issue_token` and `verify`, on JSON Web Tokens (RFC 7519) signed with HS256 (RFC 7518 §3.2), after the
advice of RFC 8725. It must not know Socket.IO: `chat` asks it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from rtlab.chat.limits import NAME_LENGTH, TOKEN_LENGTH
from rtlab.chat.payloads import BadPayload, described, name_of
from rtlab.errors import InvalidToken, UsageError

__all__ = [
    "ALGORITHM",
    "CLOCK_SKEW_S",
    "EXPIRES_S",
    "SECRET_BYTES",
    "Identity",
    "check_secret",
    "is_newer",
    "issue_token",
    "verify",
]

ALGORITHM = "HS256"
"""The only one. What a token's own header says is compared with this and never obeyed (RFC 8725 §3.1)."""
SECRET_BYTES = 32
"""A key for HS256 has at least as many bytes as its hash (RFC 7518 §3.2)."""
CLOCK_SKEW_S = 10
"""Seconds that the issuer's clock may be ahead of ours. A token's end is its end: there is no grace after it."""
EXPIRES_S = 3600.0
"""Seconds that a token lasts unless asked otherwise."""
PROBLEM_LENGTH = 100
"""Characters of what is wrong with a token: anybody can write thousands into one, and this goes into the log."""

OPTIONS: Options = {
    "require": ["sub", "username", "exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False,
}  # fmt: skip
"""What the library is to look at besides the signature. The times are compared here, with one clock."""


@dataclass(frozen=True)
class Identity:
    """What a token says of its bearer."""

    user: str
    """Who it is: the claim ``sub``. It stays the same in all tokens of one user."""
    username: str
    """How others see this user: the claim ``username``."""
    expires: float
    """When it ends, in seconds since 1970: the claim ``exp``."""


def check_secret(secret: object) -> bytes:
    """The key that a secret is.

    Raises:
        UsageError: it is shorter than `SECRET_BYTES`, or no text.
    """
    if not isinstance(secret, str):
        got = "None" if secret is None else type(secret).__name__
        raise UsageError(
            f"The secret signs every token: expected a string of at least {SECRET_BYTES} bytes, got {got}."
        )
    try:
        key = secret.encode()
    except UnicodeEncodeError:  # from an environment whose bytes are not in UTF-8
        raise UsageError("The secret signs every token: expected text that UTF-8 can carry.") from None
    if len(key) < SECRET_BYTES:
        raise UsageError(
            f"The secret signs every token: expected at least {SECRET_BYTES} bytes, got {len(key)}. "
            'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return key


def issue_token(
    username: str, secret: str, *, expires_s: float = EXPIRES_S, user: str | None = None, now: float | None = None
) -> str:
    """A token for a user.

    Args:
        username: how others see the user; 1 to 32 characters.
        secret: at least 32 bytes, the same that the chat has.
        expires_s: seconds that it lasts.
        user: who it is (the claim ``sub``), the same in all tokens of one user; the username if not given.
        now: seconds since 1970; the clock's if not given.

    Raises:
        UsageError: the name or the secret is not as said, or it would never have been valid.
    """
    key = check_secret(secret)
    try:
        name_of("username", username, NAME_LENGTH)
        name_of("user", username if user is None else user, NAME_LENGTH)
    except BadPayload as error:
        raise UsageError(f"A token needs a name: {error}.") from None
    if not (math.isfinite(expires_s) and expires_s > 0):
        raise UsageError(f"A token lasts a positive number of seconds, got {expires_s!r}.")
    issued = time.time() if now is None else now
    claims = {"sub": user or username, "username": username, "iat": int(issued), "exp": issued + expires_s}
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def verify(token: object, secret: str, *, now: float | None = None) -> Identity:
    """Who a token belongs to.

    Args:
        token: what a client sent.
        secret: at least 32 bytes.
        now: seconds since 1970; the clock's if not given.

    Raises:
        InvalidToken: it is no token, was not signed with this secret and HS256, lacks ``sub``, ``username`` or
            ``exp``, is not valid yet (``nbf``, ``iat``), or is over.
        UsageError: the secret is too short.
    """
    key = check_secret(secret)
    at = time.time() if now is None else now
    if not isinstance(token, str) or len(token) > TOKEN_LENGTH:
        raise InvalidToken("token_invalid", f"expected a string of at most {TOKEN_LENGTH} characters")
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[ALGORITHM], options=OPTIONS)
        user = name_of("sub", claims["sub"], NAME_LENGTH)
        username = name_of("username", claims["username"], NAME_LENGTH)
        expires = _time_of(claims, "exp")
        early = max((_time_of(claims, each) for each in ("nbf", "iat") if each in claims), default=at)
    except (jwt.PyJWTError, BadPayload, ValueError, OverflowError, RecursionError) as error:
        raise InvalidToken("token_invalid", _short(str(error))) from None
    if expires <= at:
        raise InvalidToken("token_expired", f"it ended {at - expires:.0f} s ago")
    if early > at + CLOCK_SKEW_S:
        raise InvalidToken("token_invalid", f"it begins in {early - at:.0f} s")
    return Identity(user, username, expires)


def is_newer(new: Identity, old: Identity) -> bool:
    """Whether a token may take another one's place.

    A newer token ends later. One with the same or an earlier end gives its bearer nothing that it does not have, and is
    refused with ``token_invalid``: otherwise an old token, once copied, would cut its user's connection short.

    Args:
        new: of the token that is shown.
        old: of the token that counts so far.
    """
    return new.expires > old.expires


def _time_of(claims: dict[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 §2)."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: expected seconds since 1970, got {described(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected seconds since 1970, got a number that is no time")
    return float(value)


def _short(problem: str) -> str:
    return problem if len(problem) <= PROBLEM_LENGTH else problem[: PROBLEM_LENGTH - 1] + "…"
