"""Both directions of a connection: heads and bodies come through as they were, acks do not."""

import gzip
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtlab.instruments.direction import Direction
from rtlab.instruments.faults.sieve import PACKETS, REQUESTS, AckSessions, Sieve
from rtlab.instruments.wiretap.http_messages import BODY_BYTES, HEAD_BYTES
from rtlab.wire.frames import Frame, Opcode, encode_frame

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
GET = b"GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ACK, EVENT = Frame(Opcode.TEXT, b"43[]"), Frame(Opcode.TEXT, b'42["x"]')


def response(body, head=b"", status=b"200 OK"):
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head, len(body), body)


def swallowing(sessions=None):
    sieve = Sieve(sessions or AckSessions())
    sieve.swallowing = True
    return sieve


def passed(sieve, direction, data, size=None, *, ends=False):
    """What goes on of these bytes, in pieces of that size."""
    out = b""
    for start in range(0, len(data), size or len(data) or 1):
        piece = data[start : start + (size or len(data))]
        instead = sieve.receive(direction, piece)
        out += piece if instead is None else instead
    return out + sieve.end(direction) if ends else out


def polled(body, size=None, head=b"", sieve=None):
    """What becomes of the body of a response of long-polling."""
    sieve = sieve or swallowing()
    assert passed(sieve, UP, GET, size) == GET
    came = passed(sieve, DOWN, response(body, head), size)
    head, _, rest = came.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(rest) in head
    return rest


@pytest.mark.parametrize("size", [None, 1, 7])
def test_acks_of_long_polling(size):
    assert polled(b'42["x"]\x1e43[]\x1e2', size) == b'42["x"]\x1e2'
    assert polled(b'42["x"]', size) == b'42["x"]'


def test_a_body_of_acks_alone_becomes_one_that_says_nothing():
    assert polled(b"43[]\x1e431[]") == b"6"


def test_attachments_may_come_with_the_next_response_on_another_connection():
    sessions = AckSessions()
    first = swallowing(sessions)
    assert polled(b'462-1[{"_placeholder":true,"num":0}]\x1ebAA==', sieve=first) == b"6"
    assert polled(b"bAA==\x1ebAA==\x1e2", sieve=swallowing(sessions)) == b"bAA==\x1e2"
    assert first.swallowed == 1


def test_a_compressed_body_is_read():
    body = b'42["%s"]' % (b"x" * 2000)
    zipped = gzip.compress(body + b"\x1e43[]")
    assert polled(zipped, head=b"Content-Encoding: gzip\r\n") == body


def test_chunks_are_read():
    sieve = swallowing()
    passed(sieve, UP, GET)
    came = passed(
        sieve, DOWN, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n43[]\r\n2\r\n\x1e2\r\n0\r\n\r\n", 3
    )
    assert came == b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"


def test_a_body_that_goes_to_the_end_is_read():
    sieve = swallowing()
    passed(sieve, UP, GET)
    came = passed(sieve, DOWN, b"HTTP/1.1 200 OK\r\n\r\n43[]\x1e2", 3, ends=True)
    assert came == b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /other HTTP/1.1\r\n\r\n",
        GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n43"),
        GET.replace(b"&sid=abc", b"&sid=abc&j=1"),
        GET.replace(b"EIO=4", b"EIO=3"),
    ],
)
def test_what_is_no_poll_comes_through(request_):
    sieve = swallowing()
    assert passed(sieve, UP, request_) == request_
    answer = response(b"43[]\x1e2")
    if b"POST" not in request_:
        assert passed(sieve, DOWN, answer, 5) == answer
    assert not sieve.swallowed


@pytest.mark.parametrize("body", [b"\x1e".join([b"43[]"] * (PACKETS + 1)), b"43" + bytes(BODY_BYTES), b"\xff\xfe"])
def test_a_body_that_is_too_much_to_look_at_comes_through(body):
    assert polled(body, 50_000) == body


def test_while_nothing_is_swallowed_bytes_do_not_wait():
    sieve = Sieve(AckSessions())
    passed(sieve, UP, GET)
    answer = response(b"43[]")
    assert passed(sieve, DOWN, answer[:20]) == answer[:20]
    sieve.swallowing = True
    assert passed(sieve, DOWN, answer[20:]) == answer[20:], "its head has gone on: too late"
    assert polled(b"43[]", sieve=sieve) == b"6"


@pytest.mark.parametrize("size", [None, 1, 13])
def test_a_websocket_loses_its_offer_and_then_its_acks(size):
    sieve = swallowing()
    went = passed(sieve, UP, UPGRADE, size)
    assert went == b"".join(line for line in UPGRADE.splitlines(True) if b"Extensions" not in line)
    frames = encode_frame(EVENT) + encode_frame(ACK) + encode_frame(EVENT)
    assert passed(sieve, DOWN, SWITCHED + frames, size) == SWITCHED + encode_frame(EVENT) * 2
    assert sieve.swallowed == 1
    theirs = encode_frame(ACK, b"1234") + b"GET / HTTP/1.1"
    assert passed(sieve, UP, theirs, size) == theirs, "what clients acknowledge is let through"


def test_a_websocket_that_is_no_engine_io_keeps_everything():
    sieve = swallowing()
    passed(sieve, UP, UPGRADE.replace(b"EIO=4", b"x=4"))
    assert passed(sieve, DOWN, SWITCHED + encode_frame(ACK)) == SWITCHED + encode_frame(ACK)


def test_a_refused_upgrade_goes_on_with_http():
    sieve = swallowing()
    passed(sieve, UP, UPGRADE)
    refused = response(b"no", status=b"400 Bad Request")
    assert passed(sieve, DOWN, refused) == refused
    assert polled(b"43[]", sieve=sieve) == b"6"


def test_a_client_that_does_not_wait_for_the_answer_is_not_read_any_more():
    sieve = swallowing()
    early = encode_frame(ACK, b"1234")
    assert passed(sieve, UP, UPGRADE + early).endswith(early)
    assert passed(sieve, DOWN, SWITCHED + encode_frame(ACK)) == SWITCHED, "the server is"


def test_interim_responses_and_pipelined_requests():
    sieve = swallowing()
    posted = b"POST / HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n43[]"
    assert passed(sieve, UP, posted + GET, 11) == posted + GET
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    answers = interim + response(b"43[]") + response(b"43[]\x1e2")
    assert passed(sieve, DOWN, answers, 11) == interim + response(b"43[]") + response(b"2")


def test_a_flood_of_requests_is_given_up():
    sieve = swallowing()
    flood = GET * (2 * REQUESTS)
    assert passed(sieve, UP, flood, 10_000) == flood
    assert len(sieve._requests) <= REQUESTS + 1


def test_a_head_without_end_is_held_up_to_a_bound():
    sieve = swallowing()
    endless = GET[:-2] + b"X: " + b"x" * (2 * HEAD_BYTES)
    went = b""
    for start in range(0, len(endless), 1000):
        went += passed(sieve, UP, endless[start : start + 1000])
        assert start - len(went) <= HEAD_BYTES
    assert went == endless


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01" + bytes(99), b"*1\r\n$4\r\nPING\r\n", b"SSH-2.0-x\r\n", os.urandom(300)]
)
@pytest.mark.parametrize("direction", [UP, DOWN])
def test_what_is_no_http_comes_through_at_once(data, direction):
    assert passed(swallowing(), direction, data, 3, ends=True) == data


def test_an_end_in_the_middle_lets_go_of_what_has_waited():
    sieve = swallowing()
    assert passed(sieve, UP, GET[:30], ends=True) == GET[:30]
    sieve = swallowing()
    passed(sieve, UP, GET)
    cut = response(b"43[]\x1e2")[:-2]
    assert passed(sieve, DOWN, cut, ends=True) == cut
    sieve = swallowing()
    passed(sieve, UP, UPGRADE)
    passed(sieve, DOWN, SWITCHED)
    assert passed(sieve, DOWN, encode_frame(ACK)[:2], ends=True) == encode_frame(ACK)[:2]


REQUESTS_SENT = [GET, UPGRADE, b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"x", encode_frame(EVENT)]
RESPONSES_SENT = [response(b"2"), SWITCHED, response(b'42["x"]\x1e2'), b"HTTP/1.1 204 No\r\n\r\n", b"\0",
                  encode_frame(EVENT), CHUNKED + b"1\r\n2\r\n0\r\n\r\n"]  # fmt: skip


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(REQUESTS_SENT), max_size=6),
    st.lists(st.sampled_from(RESPONSES_SENT), max_size=6),
    st.integers(1, 200),
    st.booleans(),
)
def test_what_has_no_acks_comes_through_whatever_it_is(requests, responses, size, asked_first):
    sieve = swallowing()
    up, down = b"".join(requests), b"".join(responses)
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    for direction in (UP, DOWN) if asked_first else (DOWN, UP):
        data = up if direction is UP else down
        came = passed(sieve, direction, data, size, ends=True)
        assert came.replace(offer, b"") == data.replace(offer, b"")
