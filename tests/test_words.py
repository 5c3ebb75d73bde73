"""A word is explained before, or where, it is first used: the chapters are walked through in their order.

The first cell of a chapter announces what comes and is left out; so is the map of chapter 00. Each word of the list
stands in the glossary too.
"""

import re

import pytest
from notebook_cells import Notebook
from notebook_form import NOTEBOOKS

WORDS = {
    "async generator": ("async generators?", "00", "a function with `async def` and\n`yield`"),
    "tap": ("taps?", "01", "is a proxy between a client and a server"),
    "CORS": ("CORS", "01", "CORS is a rule that *browsers* follow"),
    "XOR": ("XOR|XORs", "02", "(XOR) has the bits in which the two differ"),
    "promise": ("promises?", "03", "for a *promise*, which is Python's *future*"),
    "future": ("futures?", "03", "a result that will come later"),
    "wire core": ("wire core", "03", "the package's *wire core*"),
    "backpressure": ("backpressure", "03", "That waiting is *backpressure*"),
    "environ": ("environ", "04", "with the HTTP request (`environ`, a dictionary)"),
    "sticky session": ("sticky sessions?", "04", "*sticky sessions*: all requests of one session"),
    "@sio.event": (r"@sio\.event", "04", "`@sio.event` takes the event's name from the function"),
    "eio": ("eio", "04", "`eio` is the part of\na client that keeps its connection"),
    "name tag": ("name tags?", "04", "a **name tag that anyone can forge**"),
    "ghost": ("ghosts?", "06", "Such a socket\nis called a *ghost*"),
    "JWT": ("JWTs?", "08", "A JSON Web Token (JWT"),
    "claim": ("claims", "08", "the *claims*"),
    "nbf": ("nbf", "08", '`nbf` ("not before") when it begins'),
    "bearer": ("bearer", "08", "whoever holds it is Ada"),
    "offset": ("offsets?", "09", "saying where it stands in its room"),
    "SIGSTOP": ("SIGSTOP", "10", "SIGSTOP freezes it"),
    "exponential backoff": ("backoff", "10", "*exponential backoff*"),
    "jitter": ("jitter", "10", "chance is added, *jitter*"),
    "TTL": ("TTL", "10", "`TTL` answers with the seconds that a key has left"),
    "Pub/Sub": ("Pub/Sub", "11", "With **Pub/Sub** a client *publishes* a message on a channel"),
    "adapter": ("adapters?", "11", "In JavaScript the same part is called an *adapter*"),
    "upstream": ("upstreams?", "12", "Its configuration has an **upstream**"),
    "round robin": ("round robin", "12", "This is **round robin**"),
    "NAT": ("NATs?", "12", "a router that gives many people one public address"),
    "XADD": ("XADD", "13", "`XADD` adds one and\ngives it an id"),
    "fault proxy": ("fault proxy|fault proxies", "13", "behind a *fault proxy*, which passes everything on until"),
    "Lua": ("Lua", "13", "a script in *Lua*, a small language"),
    "at least once": ("at least once", "13", "one that does has them twice (*at least once*)"),
    "sentinel": ("sentinels?", "13", "three *sentinels*, small processes that watch"),
    "half-open": ("half-open", "16", "believes in is called **half-open**"),
    "half-closed": ("half-closed", "16", "A *half-closed* line has an end in one direction"),
}
"""By word: how it is spelt in use, the chapter that explains it, and words of that explanation."""
CELLS = [
    (path.stem[:2], cell)
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    for cell in Notebook.load(path).cells
    if cell.index and "## The map" not in cell.source
]
GLOSSARY = Notebook.load(NOTEBOOKS / "appendix_glossary.ipynb").markdown[0].source


def first(holds):
    """The place of the first cell for which this is true."""
    return next(place for place, (number, cell) in enumerate(CELLS) if holds(number, cell))


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_explained_before_it_is_used(word):
    spelt, chapter, explanation = WORDS[word]
    used = first(lambda _, cell: re.search(rf"(?<![\w@])(?:{spelt})(?!\w)", cell.source))
    plain = " ".join(explanation.split())
    explained = first(lambda number, cell: number == chapter and plain in " ".join(cell.source.split()))
    number, cell = CELLS[used]
    assert explained <= used, f"chapter {number}, cell {cell.index} uses {word!r} before it is explained"


@pytest.mark.parametrize("word", WORDS)
def test_it_stands_in_the_glossary(word):
    rows = [line.split("|")[1] for line in GLOSSARY.split("\n") if line.startswith("| ")]
    assert any(re.search(rf"(?<!\w){re.escape(word)}", row) for row in rows)


def test_javascript_is_explained_before_the_first_node_cell():
    used = first(lambda _, cell: cell.kind == "code" and "rtlab.node" in cell.source)
    explained = first(lambda _, cell: "JavaScript" in cell.source and "`await` waits, as in Python" in cell.source)
    assert explained < used
