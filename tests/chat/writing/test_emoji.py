"""Joined emoji: the grammar has those that Unicode recommends, and no other."""

import json
import subprocess

from deadlines import WAIT_S

from rtlab.chat.writing.emoji import BARE, JOINER, SELECTOR, TONES, joined
from rtlab.servers import programs

CHECK = r"""
let text = "";
process.stdin.on("data", (data) => { text += data; });
process.stdin.on("end", () => {
  const [joined, bare] = JSON.parse(text);
  const sequence = new RegExp("^\\p{RGI_Emoji_ZWJ_Sequence}$", "v");
  const textFirst = new RegExp("^[[\\p{Emoji}&&\\p{Extended_Pictographic}]--\\p{Emoji_Presentation}]$", "v");
  const strange = joined.filter((each) => !sequence.test(each));
  const expected = [];
  for (let code = 0x2600; code < 0x110000; code += 1) {
    const character = String.fromCodePoint(code);
    if (textFirst.test(character) && (code < 0x2900 || code > 0xffff)) expected.push(character);
  }
  console.log(JSON.stringify([strange, JSON.stringify(expected) === JSON.stringify(bare)]));
});
"""


def test_each_is_recommended_as_the_javascript_engine_knows_it():
    bare = [chr(code) for code in range(0x110000) if BARE.fullmatch(chr(code))]
    asked = json.dumps([sorted(joined()), bare]).encode()
    node = str(programs.node().path)
    answer = subprocess.run([node, "-e", CHECK], input=asked, capture_output=True, check=True, timeout=WAIT_S * 3)
    assert json.loads(answer.stdout) == [[], True]


def test_none_is_missing():
    """Emoji 16.0 has 1,468 of them (emoji-zwj-sequences.txt, its own totals)."""
    assert len(joined()) == 1468


def test_no_two_differ_in_what_is_unseen_only():
    seen = {each.replace(JOINER, "").replace(SELECTOR, "") for each in joined()}
    assert len(seen) == len(joined())
    assert not any(f"{SELECTOR}{tone}" in each for each in joined() for tone in TONES)
