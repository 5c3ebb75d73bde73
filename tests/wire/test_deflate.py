"""permessage-deflate: what is agreed on, golden bytes, and bombs."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import HandshakeError, ProtocolError
from rtlab.wire.deflate import Deflate, DeflateOptions, accept_offer, accept_response
from rtlab.wire.extensions import parse_extensions

HUGE = 1 << 30
BOTH_FORGET = DeflateOptions(server_no_context_takeover=True, client_no_context_takeover=True)


def answer(offer: str, **options) -> str | None:
    """What a server answers to an offer."""
    agreed = accept_offer(parse_extensions(offer), DeflateOptions(**options))
    return None if agreed is None else agreed[1]


@pytest.mark.parametrize(
    ("offer", "answered"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
        ('permessage-deflate; server_max_window_bits="9"', "permessage-deflate; server_max_window_bits=9"),
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
        ("permessage-deflate; server_max_window_bits=8", None),  # zlib cannot
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=8", "permessage-deflate; client_max_window_bits=8"),
        ("permessage-deflate; server_max_window_bits", None),  # needs a value (§7.1.2.1)
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=08", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("x-webkit-deflate-frame", None),
        ("other, permessage-deflate", "permessage-deflate"),
        ("", None),
    ],
)
def test_a_server_chooses(offer, answered):
    assert answer(offer) == answered


def test_what_the_server_wants_counts_too():
    assert answer("permessage-deflate", server_max_window_bits=10) == "permessage-deflate; server_max_window_bits=10"
    assert answer("permessage-deflate; client_max_window_bits", client_max_window_bits=10) == (
        "permessage-deflate; client_max_window_bits=10"
    )
    # not without the client's word (§7.1.2.2)
    assert answer("permessage-deflate", client_max_window_bits=10) == "permessage-deflate"


def test_a_client_offers():
    assert DeflateOptions().offer() == "permessage-deflate; client_max_window_bits"
    assert DeflateOptions(True, True, 10, 11).offer() == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=10; client_max_window_bits=11"
    )


@pytest.mark.parametrize(
    ("options", "response", "said"),
    [
        (None, "permessage-deflate", "not offered"),
        (DeflateOptions(), "other", "not offered"),
        (DeflateOptions(), "permessage-deflate, permessage-deflate", "not offered"),
        (DeflateOptions(), "permessage-deflate; unknown", "unknown parameter"),
        (DeflateOptions(), "permessage-deflate; server_max_window_bits=7", "server_max_window_bits with the value '7'"),
        (DeflateOptions(), "permessage-deflate; client_max_window_bits", "client_max_window_bits with the value None"),
        (DeflateOptions(), "permessage-deflate; client_max_window_bits=8", "a client window of 8 bits"),
        (DeflateOptions(server_max_window_bits=10), "permessage-deflate", "at most 10 bits, got 15"),
        (DeflateOptions(server_no_context_takeover=True), "permessage-deflate", "did not agree"),
    ],
)
def test_a_client_refuses_what_it_did_not_offer(options, response, said):
    with pytest.raises(HandshakeError, match=said):
        accept_response(parse_extensions(response), options)


def test_a_server_that_wants_none():
    assert accept_response([], DeflateOptions()) is None


@pytest.mark.parametrize("malformed", ["a b", "permessage-deflate; x y", "; x", "a; b=(c)"])
def test_malformed_extensions(malformed):
    with pytest.raises(HandshakeError):
        parse_extensions(malformed)


def test_a_quoted_value_may_hold_separators():
    assert parse_extensions('a; b="c, d; e", f') == [("a", (("b", "c, d; e"),)), ("f", ())]


def test_golden():
    """RFC 7692 §7.2.3: the second "Hello" is shorter, because the window remembers the first."""
    end = Deflate(DeflateOptions(), client=False)
    assert end.compress(b"Hello").hex() == "f248cdc9c90700"
    assert end.compress(b"Hello").hex() == "f200110000"
    other = Deflate(DeflateOptions(), client=True)
    for octets in (
        "f248cdc9c90700",
        "f200110000",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f24805000000ffffcac9c90700",
    ):
        assert other.decompress(bytes.fromhex(octets), HUGE, fin=True) == b"Hello"


def test_a_message_in_two_frames():
    end = Deflate(DeflateOptions(), client=False)
    assert (
        end.decompress(bytes.fromhex("f248cd"), HUGE, fin=False)
        + end.decompress(bytes.fromhex("c9c90700"), HUGE, fin=True)
        == b"Hello"
    )


def test_an_empty_message():
    assert Deflate(DeflateOptions(), client=False).decompress(b"\x00", HUGE, fin=True) == b""
    ends = Deflate(DeflateOptions(threshold=0), client=False), Deflate(DeflateOptions(), client=True)
    for message in (b"", b"", b"x", b""):
        assert ends[1].decompress(ends[0].compress(message), HUGE, fin=True) == message


@given(
    st.lists(st.binary(max_size=200), max_size=5), st.booleans(), st.booleans(), st.integers(9, 15), st.integers(9, 15)
)
def test_round_trip_with_every_agreement(messages, server_forgets, client_forgets, server_bits, client_bits):
    options = DeflateOptions(server_forgets, client_forgets, server_bits, client_bits, threshold=0)
    agreed = accept_offer(parse_extensions(options.offer()), DeflateOptions(threshold=0))
    assert agreed is not None
    server, answered = agreed
    client = accept_response(parse_extensions(answered), options)
    assert client is not None
    for message in messages:
        assert server.decompress(client.compress(message), HUGE, fin=True) == message
        assert client.decompress(server.compress(message), HUGE, fin=True) == message


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_the_window_is_kept(bits):
    """What we send can be read with a window of the agreed size and no more (§7.1.2)."""
    import random

    noise = random.Random(1).randbytes(1 << bits)
    end = Deflate(DeflateOptions(server_max_window_bits=bits, threshold=0), client=False)
    reader = zlib.decompressobj(-bits)
    for _ in range(3):
        assert reader.decompress(end.compress(noise) + b"\x00\x00\xff\xff") == noise


def test_forgetting_costs_size():
    keeping, forgetting = Deflate(DeflateOptions(), client=False), Deflate(BOTH_FORGET, client=False)
    message = bytes(range(256))
    sizes = [[len(end.compress(message)) for _ in range(2)] for end in (keeping, forgetting)]
    assert sizes[0][1] < sizes[0][0]
    assert sizes[1][1] == sizes[1][0]


def test_a_bomb_stops_at_the_limit():
    bomb = Deflate(DeflateOptions(), client=True).compress(bytes(10_000_000))
    assert len(bomb) < 20_000
    with pytest.raises(ProtocolError, match="more than 1000 bytes") as caught:
        Deflate(DeflateOptions(), client=False).decompress(bomb, 1000, fin=True)
    assert caught.value.code == 1009
    assert len(Deflate(DeflateOptions(), client=False).decompress(bomb, 10_000_000, fin=True)) == 10_000_000


@given(st.binary(min_size=1, max_size=100), st.booleans())
def test_whatever_comes_only_the_documented_error(payload, fin):
    try:
        out = Deflate(DeflateOptions(), client=False).decompress(payload, 1000, fin=fin)
    except ProtocolError as caught:
        error = caught
    else:
        assert len(out) <= 1000
        return
    assert error.code in {1007, 1009}
    assert len(error.problem.encode()) <= 123


@given(st.text(max_size=100))
def test_whatever_is_offered_only_the_documented_error(value):
    try:
        accept_offer(parse_extensions(value), DeflateOptions())
    except HandshakeError as error:
        assert error.status == 400  # noqa: PT017
