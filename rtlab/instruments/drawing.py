"""What pictures of the instruments are drawn with: colours, boxes and lines of text, in SVG.

What lives here: the constants and pure functions that `transcript.picture` and `checking.timeline` share. They must not
know what is drawn.

A notebook shows SVG as an image, which knows nothing of the notebook's theme. So nothing here relies on a background:
text stands in boxes that bring their own, lines have colours that stand out from white and from black. There is no
style sheet and no script, which renderers of other people's pictures throw away.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from html import escape

__all__ = ["CHARACTER", "CLIENTS", "FONT", "LINE", "LINE_COLOUR", "PAINTS", "PROBLEM", "SIZE", "Paint", "box",
           "escaped", "label", "spelled", "width_of"]  # fmt: skip

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
SIZE, CHARACTER, LINE = 12, 7.3, 16
"""Pixels: height and width of a character (0.602 em in the fonts above), and of a line."""
LINE_COLOUR = "#8b929c"
"""Lifelines and row numbers: a contrast of 3 and more with white and with JupyterLab's dark #111."""
CLIENTS = ("#3b82c4", "#d9732b", "#3f9d5a", "#a665b8", "#b08a1e", "#2b9aa0")
"""The arrows of the clients, one colour each; legible on both too."""


@dataclass(frozen=True)
class Paint:
    """The colours of a box."""

    fill: str
    border: str
    text: str


PAINTS = {
    "handshake": Paint("#fff1cc", "#d5a021", "#4d3800"),
    "http": Paint("#eceff4", "#8f9bb0", "#232b3a"),
    "event": Paint("#e3f4e1", "#6bab63", "#1d4a18"),
    "TEXT": Paint("#e1edff", "#6f9fe0", "#12356b"),
    "BINARY": Paint("#d9f3ef", "#55ab9d", "#0b473d"),
    "control": Paint("#efe6fd", "#a07fd6", "#41237a"),
    "CLOSE": Paint("#fde4e6", "#d9808a", "#731722"),
    "raw": Paint("#f1f1ef", "#a3a39b", "#3a3a35"),
    "end": Paint("#fde4e6", "#c23b4b", "#731722"),
}
PROBLEM = "#a3172a"
"""What is wrong with a row, in any box."""


def label(text: str, x: float, y: float, style: str) -> str:
    """A line of text; y is that of its base line."""
    return f'<text x="{spelled(x)}" y="{spelled(y)}" {style}>{escaped(text)}</text>'


def box(x: float, y: float, width: float, height: float, style: str) -> str:
    """A box with round corners."""
    return (
        f'<rect x="{spelled(x)}" y="{spelled(y)}" width="{spelled(width)}" height="{spelled(height)}" rx="5" {style}/>'
    )


def width_of(text: str) -> int:
    """Characters that a line is wide: those of East Asia and emoji take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def spelled(value: float) -> str:
    """A number of pixels, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def escaped(text: str) -> str:
    """Text inside an element; what XML 1.0 cannot hold is replaced."""
    return escape(
        re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text), False
    )
