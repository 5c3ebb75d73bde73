"""What the page does with names and texts before it sends them, in Node: the server takes what it makes of them."""

import json
import subprocess
from pathlib import Path

import pytest
from deadlines import WAIT_S
from quick import code_points, quick

from rtlab.chat import page, payloads
from rtlab.chat.limits import Limits
from rtlab.chat.writing.characters import DEFAULT_IGNORABLE
from rtlab.chat.writing.emoji import joined
from rtlab.chat.writing.names import fault_in
from rtlab.servers import programs

SOURCE = (Path(page.__file__).parent / "web/writing.js").read_text(encoding="utf-8")
CALLS = """
import { readFileSync } from "node:fs";
const calls = { tidyName, tidyText, whyNoName };
const [name, given] = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(given.map((each) => calls[name](each))));
"""


def call(name: str, *given: str) -> list[str]:
    """What one of the page's functions makes of each string."""
    done = subprocess.run(
        [str(programs.node().path), "--input-type=module", "-e", SOURCE + CALLS],
        input=json.dumps([name, given]).encode(), capture_output=True, check=False, timeout=WAIT_S * 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return list(json.loads(done.stdout))


def test_a_text_becomes_one_that_the_server_takes():
    given = ["x\ud83dy", "\udc00", " a\r\nb\rc\x1b[2J\x00 ", "\t👩\u200d👩\u200d👧\u200b", "\x85a"]
    tidied = call("tidyText", *given)
    assert tidied == ["x\ufffdy", "\ufffd", "a\nb\nc[2J", "👩\u200d👩\u200d👧\u200b", "a"]
    for each in tidied:
        assert payloads.message({"room": "r", "text": each}, Limits()).text == each


def test_a_name_gets_its_one_spelling():
    given = [
        "  e\u0301  b\u00a0",
        "I ❤ NY",
        "👍\ufe0f",
        "1\ufe0f\u20e3",
        "Acme™\ufe0f",
        "✌\ufe0f🏽",
        "a\ud83d",
        "↔\ufe0f",
    ]
    assert call("tidyName", *given) == ["é b", "I ❤️ NY", "👍", "1\u20e3", "Acme™", "✌🏽", "a\ufffd", "↔"]


def test_every_joined_emoji_comes_out_in_full_whatever_selectors_it_had():
    emoji = sorted(joined())
    bare = [each.replace("\ufe0f", "") for each in emoji]
    doubled = ["\ufe0f".join(each) for each in bare]
    assert call("tidyName", *emoji, *bare, *doubled) == emoji * 3
    assert set(call("whyNoName", *emoji)) == {""}


@pytest.mark.parametrize("everything", quick([False, True], [False]))
def test_it_complains_of_no_name_that_the_server_takes(everything):
    codes = code_points(everything, DEFAULT_IGNORABLE)
    given = [f"x{chr(code)}y" for code in codes if code < 0x30000 and not 0xD800 <= code <= 0xDFFF]
    names = call("tidyName", *given)
    complaints = dict(zip(names, call("whyNoName", *names), strict=True))
    assert [name for name, said in complaints.items() if said and fault_in(name) is None] == []
    assert "U+3164" in complaints["x\u3164y"]
