"""Which characters can be seen.

What lives here: `is_seen`, `is_blank` and the table below. Categories come from the standard library's `unicodedata`;
what it lacks stands here. It must not know what a name or a text is.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["DEFAULT_IGNORABLE", "NEVER_SEEN", "is_blank", "is_seen"]

DEFAULT_IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Default_Ignorable_Code_Point, first and last of each range: from DerivedCoreProperties.txt of Unicode 17.0 (the same
since 14.0, which Python 3.11 has). Code points that are not assigned yet are among them on purpose. A test compares the
table with the JavaScript engine's."""
BLANKS = (
    (0x2800, 0x2800),  # Braille pattern blank
    (0xFFFC, 0xFFFC),  # stands for an object that is not there
    (0x2D7F, 0x2D7F), (0x1107F, 0x1107F),  # join their neighbours
    (0x13441, 0x13442),  # Egyptian hieroglyph blanks
    (0x16FE4, 0x16FE4),  # Khitan small script filler
    (0x1D159, 0x1D159),  # musical symbol null notehead
)  # fmt: skip
"""Letters, marks and symbols that leave no ink and are not Default_Ignorable: their names say blank, filler, null,
joiner or object (UnicodeData.txt, 17.0). No property of Unicode tells them."""
NEVER_SEEN = re.compile(f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in DEFAULT_IGNORABLE + BLANKS)}]")
"""One character that leaves no ink, whatever its category says."""
INK = frozenset("LMNPS")
"""The categories of what is drawn: letters, marks, numbers, punctuation, symbols (UAX #44 §5.7.1). The others are
separators (Z) and "other" (C): controls, formats, surrogates, private use, and what is not assigned."""


def is_seen(character: str) -> bool:
    """Whether a character leaves ink, as far as this Python's Unicode knows it."""
    return unicodedata.category(character)[0] in INK and not NEVER_SEEN.match(character)


def is_blank(text: str) -> bool:
    """Whether nothing in a text can be seen.

    A character that this Python's Unicode does not know may be a letter for those who read it, so it counts as seen;
    noncharacters (U+FFFE and the like), which never will be one, do not.
    """
    return not any(is_seen(each) or _may_come(each) for each in text)


def _may_come(character: str) -> bool:
    code = ord(character)
    noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # Unicode §23.7
    return unicodedata.category(character) == "Cn" and not noncharacter and not NEVER_SEEN.match(character)
