"""Names: people see every character of one, and no two are told apart by something unseen."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quick import code_points, quick

from rtlab.chat.writing.characters import DEFAULT_IGNORABLE, NEVER_SEEN
from rtlab.chat.writing.emoji import BARE, JOINER, SELECTOR, joined
from rtlab.chat.writing.names import MARKS, fault_in

UNSEEN = st.sampled_from([chr(first) for first, _ in DEFAULT_IGNORABLE]) | st.sampled_from(
    [chr(last) for _, last in DEFAULT_IGNORABLE]
    + list(
        "\u200b\u200c\u200d\u2060\ufe0e\ufe0f\u00a0\u2003\u3000\u2800\ufffc\ue000\U000f0000\x00\x1b\x85\u2028 \ufdd0"
    )
)
TROUBLE = st.sampled_from([*"aé 1👩👨🏽❤🔥🏳🌈⚕♀🧑🤝☺™#", "\u0301", "\u0323", "\u20e3", "각", *sorted(joined())[::97]])
NAMES = st.lists(TROUBLE | st.characters(), min_size=1, max_size=12).map(
    lambda parts: unicodedata.normalize("NFC", "".join(parts))
)


@pytest.mark.parametrize(
    "name",
    [
        "zoë", "Οδυσσέας", "王小明", "a b", "Анна Smith", "O'Neil-2", "C#", "Acme™", "# 1", "Łukasz", "محمد", "שָׁלוֹם",
        "नमस्ते", "ကြွှိုး", "လျှို့ဝှက်", "བསྒྲུབས", "สมชาย น้ำ",
        "Việt", "각", "👍", "👍🏽", "❤️", "I ❤️ NY", "✌🏽", "👩‍👩‍👧", "🏳️‍🌈", "👩🏽‍⚕️",
        "🧑‍🤝‍🧑", "👨🏻‍❤️‍💋‍👨🏿", "🏴‍☠️", "🇫🇷", "🕵🏽‍♀️", "🕵️‍♀️", "x̣̂",
    ],
)  # fmt: skip
def test_names(name):
    assert fault_in(name) is None


@pytest.mark.parametrize(
    ("name", "expected", "got"),
    [
        (" a", "no blanks at its ends", None),
        ("a\u3000", "no blanks at its ends", None),
        ("a  b", "one blank between two words", None),
        ("a\u00a0b", "characters that can be seen", "U+00A0"),
        ("\u3164", "characters that can be seen", "U+3164"),
        ("\u2800", "characters that can be seen", "U+2800"),
        ("a\u034fb", "characters that can be seen", "U+034F"),
        ("a\u200db", "joiners only in emoji that Unicode recommends", "U+200D"),
        ("👩\u200d🍕", "joiners only in emoji that Unicode recommends", "U+200D"),
        ("👩\u200d", "joiners only in emoji that Unicode recommends", "U+200D"),
        ("👩\u200d👩\u200d👧\u200d👧\u200d👧", "joiners only in emoji that Unicode recommends", "U+200D"),
        ("❤\u200d🔥", "joiners only in emoji that Unicode recommends", "U+200D"),
        ("a\ufe0f", "a selector only after an emoji that needs it", "U+FE0F"),
        ("👍\ufe0f", "a selector only after an emoji that needs it", "U+FE0F"),
        ("❤\ufe0f\ufe0f", "a selector only after an emoji that needs it", "U+FE0F"),
        ("✌\ufe0f🏽", "a selector only after an emoji that needs it", "U+FE0F"),
        ("❤\ufe0e", "characters that can be seen", "U+FE0E"),
        ("❤", "an emoji in full, U+2764 U+FE0F", "the first of these two alone"),
        ("\ue000", "characters that mean the same everywhere", "U+E000, for private use"),
        ("\ufffe", f"characters of Unicode {unicodedata.unidata_version}", "U+FFFE"),
        ("\u0301a", "each mark on a character of its own", "U+0301 on none"),
        ("a \u0301b", "each mark on a character of its own", "U+0301 on none"),
        ("x\u0323\u0323", f"at most {MARKS} marks on a character, none twice", "one more, U+0323"),
        ("x\u0330\u0331\u0332\u0323\u0324", f"at most {MARKS} marks on a character, none twice", "one more, U+0324"),
        ("e\u0301", "composed characters (Unicode NFC)", None),
    ],
)
def test_no_names(name, expected, got):
    assert fault_in(name) == (expected, got)


@pytest.mark.parametrize("everything", quick([False, True], [False]))
def test_each_code_point_is_taken_or_refused_as_its_properties_say(everything):
    """Between two letters, so that marks have a base. What is not assigned differs from Python to Python."""
    for code in code_points(everything, DEFAULT_IGNORABLE):
        character = chr(code)
        name = f"x{character}y"
        kind = unicodedata.category(character)
        ignorable = any(first <= code <= last for first, last in DEFAULT_IGNORABLE)
        refused = (
            (kind[0] in "CZ" and character != " ")
            or ignorable
            or NEVER_SEEN.match(character)
            or BARE.match(character)
            or not unicodedata.is_normalized("NFC", name)
        )
        assert (fault_in(name) is not None) == bool(refused), hex(code)


@given(NAMES, UNSEEN, st.data())
def test_no_two_names_differ_in_something_unseen_only(name, unseen, data):
    """But for a joiner that makes one picture of several."""
    at = data.draw(st.integers(0, len(name)))
    other = name[:at] + unseen + name[at:]
    if fault_in(name) or fault_in(other):
        return
    if unseen == " ":
        assert at not in {0, len(name)}
        assert " " not in {name[at - 1], name[at]}
        return
    assert unseen == JOINER
    assert any(each in other for each in joined() if each not in name)


@given(st.sampled_from(sorted(joined())), st.data())
def test_a_joined_emoji_has_one_spelling(emoji, data):
    at = data.draw(st.integers(0, len(emoji)))
    assert fault_in(emoji) is None
    assert fault_in(emoji[:at] + SELECTOR + emoji[at:])
    if SELECTOR in emoji:
        assert fault_in(emoji.replace(SELECTOR, "", 1))


@given(st.text() | NAMES)
def test_a_name_is_normalised_and_every_mark_has_a_base(text):
    if fault_in(text) is None and text:
        assert unicodedata.is_normalized("NFC", text)
        assert unicodedata.category(text[0])[0] != "M"
        assert text == " ".join(text.split())
