"""What goes between the process of a check and the one that waits: it arrives as it was, and nothing else is taken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.grading.messages import (
    LONGEST,
    Began,
    Imported,
    Late,
    NotUnderstoodError,
    Order,
    Spoken,
    Unmet,
    decode,
    encode,
    printable,
)
from rtlab.grading.results import Verdict

ORDER = Order("test_it", "/a/b.py", "", {"rtlab.wire": "Use hashlib."}, "rtlab reset 00", "trace.txt", "/a/1")
SPOKEN = Spoken(Verdict.FAILED, "expected 1; got 2", "check", "")


@pytest.mark.parametrize("message", [ORDER, Began(), Imported(), Unmet("no"), Late("hello.py, line 7"), SPOKEN])
def test_every_message_arrives_as_it_was(message):
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(st.text(), st.text(), st.sampled_from(Verdict))
def test_whatever_a_learner_says_can_be_sent(message, left, verdict):
    got = decode(encode(Spoken(verdict, message, "import", left)))
    assert (got.verdict, got.message, got.left) == (verdict, printable(message), printable(left))
    assert printable(got.message) == got.message, "nothing is spelled out twice"


def test_what_a_terminal_would_obey_is_spelled_out_and_what_is_long_is_cut():
    assert decode(encode(Unmet("\x1b[2J\r\x00 fine\n\tGrüße 👨\u200d👩"))) == Unmet(
        "\\x1b[2J\\r\\x00 fine\n\tGrüße 👨\u200d👩"
    )
    assert len(decode(encode(Unmet("x" * 2_000_000))).sentence) == LONGEST + 1
    line = b'{"say": "late", "where": "' + b"y" * 500_000 + b'"}'
    assert len(decode(line).where) == LONGEST + 1


def test_half_a_character_is_spelled_out():
    assert decode(encode(Unmet("got '\ud83d'"))) == Unmet(r"got '\ud83d'")


def test_a_path_of_bytes_that_are_no_text_stays_as_it_is():
    order = Order("test_it", "/a/b\udcff.py", "", {}, "", "trace.txt")
    assert decode(encode(order)) == order


NESTED = 100_000


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"hello\n",
        b"\xff\xfe\n",
        b"null\n",
        b"[]\n",
        b'"begin"\n',
        b"{}\n",
        b'{"say": "welcome"}\n',
        b'{"say": ["begin"]}\n',
        b'{"say": "begin", "more": "1"}\n',
        b'{"say": "unmet"}\n',
        b'{"say": "unmet", "sentence": 3}\n',
        b'{"say": "unmet", "sentence": "\\ud83d"}\n',
        b'{"say": "late", "where": null}\n',
        b'{"say": "verdict", "verdict": "passed", "message": "", "phase": "check"}\n',
        b'{"say": "verdict", "verdict": "excellent", "message": "", "phase": "check", "left": ""}\n',
        b'{"say": "verdict", "verdict": ["passed"], "message": "", "phase": "check", "left": ""}\n',
        b'{"say": "verdict", "verdict": "passed", "message": "", "phase": "dream", "left": ""}\n',
        (
            b'{"say": "order", "check": "x", "submission": "", "solutions": "", "forbidden": [], "reset": "",'
            b' "trace": "", "directory": ""}\n'
        ),
        b"[" * NESTED + b"]" * NESTED + b"\n",
        b'{"say": "unmet", "sentence": ' + b"[" * NESTED + b"]" * NESTED + b"}\n",
        b'{"say": "unmet", "sentence": ' + b"9" * 5_000 + b"}\n",
    ],
    ids=lambda line: f"{len(line)} bytes: {line[:40]!r}",
)
def test_everything_else_is_refused(line):
    with pytest.raises(NotUnderstoodError):
        decode(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(["order", "begin", "imported", "unmet", "late", "verdict"])
FIELDS = st.sampled_from(["verdict", "message", "phase", "left", "sentence", "where", "check", "forbidden"])


@given(WORDS, st.dictionaries(FIELDS, JSON, max_size=4))
def test_whatever_comes_is_a_message_or_is_refused(word, fields):
    try:
        message = decode(json.dumps({"say": word, **fields}).encode())
    except NotUnderstoodError:
        return
    assert decode(encode(message)) == message
