"""Which characters can be seen, by Unicode's own properties and whatever version of it this Python has."""

import json
import subprocess
import unicodedata

import pytest
from deadlines import WAIT_S
from quick import code_points, quick

from rtlab.chat.writing.characters import DEFAULT_IGNORABLE, NEVER_SEEN, is_blank, is_seen
from rtlab.servers import programs

RANGES = """
const ranges = [];
for (let code = 0; code < 0x110000; code += 1) {
  if (!/^\\p{Default_Ignorable_Code_Point}$/u.test(String.fromCodePoint(code))) continue;
  if (ranges.at(-1)?.[1] === code - 1) ranges.at(-1)[1] = code;
  else ranges.push([code, code]);
}
console.log(JSON.stringify(ranges));
"""


def test_the_table_of_what_is_ignorable_is_unicodes_own():
    """As the JavaScript engine has it, whose tables were made by others."""
    node = str(programs.node().path)
    answer = subprocess.run([node, "-e", RANGES], capture_output=True, check=True, timeout=WAIT_S * 3)
    assert tuple(map(tuple, json.loads(answer.stdout))) == DEFAULT_IGNORABLE


@pytest.mark.parametrize("everything", quick([False, True], [False]))
def test_what_is_seen_has_ink(everything):
    for code in code_points(everything, DEFAULT_IGNORABLE):
        character = chr(code)
        kind = unicodedata.category(character)
        ignorable = any(first <= code <= last for first, last in DEFAULT_IGNORABLE)
        if kind in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"} or ignorable:
            assert not is_seen(character), hex(code)
        elif not NEVER_SEEN.match(character):
            assert is_seen(character), hex(code)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n\t\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\x00", "\u00ad", "\u200d\ufe0f",
        "\u180e", "\u115f\u1160", "\u3164", "\uffa0", "\u2800", "\u034f", "\U000e0100", "\U000e0041",
        "\u2028\u2029", "\u202e", "\ufffe", "\U0010ffff", "\ue000", "\ufffc", "\U0001d159", "\u2d7f", "\U00013441",
    ],
)  # fmt: skip
def test_blank(text):
    assert is_blank(text)
    assert not is_blank(f"{text}.{text}")


@pytest.mark.parametrize("text", ["a", "é", "\u0301", "👍", "👩\u200d👩", "\u200ea", "\u0378", "\ufffd", "।"])
def test_not_blank(text):
    """A character that this Python's Unicode does not know (U+0378) may come to be a letter."""
    assert not is_blank(text)
