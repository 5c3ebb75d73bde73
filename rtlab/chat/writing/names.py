"""Which strings are names: people see every character of one, and no two look alike by what they are made of.

What lives here: `fault_in`. It must not know whose name it is. It follows UTS #39 (Unicode Security Mechanisms) as far
as the standard library's data carry it.
"""

from __future__ import annotations

import unicodedata

from rtlab.chat.writing.characters import is_seen
from rtlab.chat.writing.emoji import BARE, JOINER, SELECTOR, without_emoji

__all__ = ["MARKS", "fault_in"]

MARKS = 4
"""Nonspacing marks on one character (UTS #39 §5.4). Vietnamese, Hebrew and Burmese need no more; a longer run
covers the lines above and below ("Zalgo")."""
MARKS_IN_ALL = 8
"""Marks of every kind on one character: vowel signs of Indic scripts have a width, and come besides."""


def fault_in(name: str) -> tuple[str, str | None] | None:
    """What keeps a string from being a name: what was expected, and what came (None: the whole); None if it is one.

    Each character has to be seen: a letter, a mark on one, a number, punctuation, a symbol, or one blank between two of
    them. Not among these are controls, formats (joiners and directions), private use, surrogates, what Unicode calls
    Default_Ignorable, fillers and blanks of other kinds, and what this Python's Unicode has not assigned (a name with
    the newest characters needs a newer Python). The exceptions are joined emoji and emoji with a selector, where
    these have exactly one spelling. So two names that differ in what cannot be seen are never both accepted.

    Not defended against are letters that look alike: Cyrillic U+0430 and the Latin "a", "l" and "I", a ligature
    and its letters. Scripts may be mixed, as in "Анна Smith". An application that shows names beside a right, such as
    "admin", compares skeletons (UTS #39 §4) or has names given out by hand; here ``sub`` says who somebody is. A mark
    of one script on a letter of another may look like nothing on some machines. Capitals count as other letters.
    """
    if name != name.strip():
        return "no blanks at its ends", None
    if "  " in name:  # HTML shows two as one
        return "one blank between two words", None
    plain = without_emoji(name)
    marks = nonspacing = 0
    before = " "
    for each in plain:
        if each != " " and not is_seen(each):
            return _unseen(each)
        kind = unicodedata.category(each)
        if kind[0] != "M":
            marks = nonspacing = 0
        else:
            marks, nonspacing = marks + 1, nonspacing + (kind != "Mc")
            if before == " ":
                return "each mark on a character of its own", f"U+{ord(each):04X} on none"
            if each == before or nonspacing > MARKS or marks > MARKS_IN_ALL:
                return f"at most {MARKS} marks on a character, none twice", f"one more, U+{ord(each):04X}"
        before = each
    if bare := BARE.search(plain):
        return f"an emoji in full, U+{ord(bare[0]):04X} U+FE0F", "the first of these two alone"
    if not unicodedata.is_normalized("NFC", name):
        return "composed characters (Unicode NFC)", None
    return None


def _unseen(character: str) -> tuple[str, str]:
    code = f"U+{ord(character):04X}"
    kind = unicodedata.category(character)
    if character == JOINER:
        return "joiners only in emoji that Unicode recommends", code
    if character == SELECTOR:
        return "a selector only after an emoji that needs it", code
    if kind == "Co":
        return "characters that mean the same everywhere", f"{code}, for private use"
    if kind == "Cn":
        return f"characters of Unicode {unicodedata.unidata_version}", code
    return "characters that can be seen", code
