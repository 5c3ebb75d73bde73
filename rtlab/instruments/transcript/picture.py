"""The picture of a transcript: a sequence diagram in SVG.

What lives here: `draw`, a pure function from rows to SVG: lifelines of the clients on the left, the server's on the
right, time going down, an arrow for each row with what it says in a box.

A notebook shows SVG as an image, which knows nothing of the notebook's theme. So nothing here relies on a background:
text stands in boxes that bring their own, lines have colours that stand out from white and from black. There is no
style sheet and no script, which renderers of other people's pictures throw away.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript.rows import Kind, Row

__all__ = ["LANES", "ROWS_SHOWN", "draw"]

ROWS_SHOWN = 60
"""Rows in a picture. It would be too long to look at otherwise: the first three quarters are shown, and the last."""
LANES = 6
"""Clients that get a lifeline each. More share one, and their number stands in the box."""

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
SIZE, CHARACTER, LINE = 12, 7.3, 16
"""Pixels: height and width of a character (0.602 em in the fonts above), and of a line."""
PAD_X, PAD_Y, GAP, MARGIN = 8, 5, 8, 10
"""Pixels: inside a box, between rows, around the picture."""
WIDTH = 800
"""Pixels of the widest picture: notebooks cut off what is wider than a page, they do not scale it."""
LANE = 80
"""Pixels between the lifelines of two clients."""
REACH = 36
"""Pixels of an arrow that can be seen on either side of the widest box."""
HEAD = 25
"""Pixels of a box at the top of a lifeline."""
NARROW = 26
"""Characters of the narrowest column of boxes."""
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


def draw(transcript: Sequence[Row], *, dropped: int = 0) -> str:
    """The rows as SVG, without anything that differs from run to run.

    Args:
        transcript: its rows.
        dropped: how many rows before them were not kept.
    """
    rows = list(transcript)
    hidden = max(0, len(rows) - ROWS_SHOWN)
    if hidden:
        first = ROWS_SHOWN * 3 // 4
        rows = rows[:first] + rows[first + hidden :]
    plan = _Plan(transcript, rows)
    y = MARGIN + HEAD + GAP * 1.5
    body: list[str] = []
    if dropped:
        body.append(plan.remark(f"{dropped:,} earlier rows were not kept", y))
        y += LINE + GAP
    for number, row in enumerate(rows):
        if hidden and number == ROWS_SHOWN * 3 // 4:
            body.append(plan.remark(f"{hidden:,} rows are not shown: print the transcript, or filter it", y))
            y += LINE + GAP
        drawn, height = plan.row(row, y)
        body.append(drawn)
        y += height + GAP
    if not rows:
        body.append(plan.remark("nothing yet", y))
        y += LINE + GAP
    bottom = y + GAP / 2
    width, height = plan.width, bottom + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" font-family="{FONT}" font-size="{SIZE}">'
    )
    title = f"<title>Transcript: {_count(len(transcript))} between {plan.said} and the server</title>"
    return "\n".join([head, title, *plan.lifelines(bottom), *body, "</svg>"])


class _Plan:
    """Where everything stands."""

    def __init__(self, transcript: Sequence[Row], rows: Sequence[Row]) -> None:
        clients = sorted({row.client for row in rows}, key=lambda name: (len(name), name))
        self.shared = len(clients) > LANES
        self.lanes = {client: 0 if self.shared else lane for lane, client in enumerate(clients)}
        names = ["clients"] if self.shared else clients or ["client"]
        self.names = [*names, "server"]
        self.said = f"{len(clients)} clients" if len(clients) > 1 else names[0]
        last = str(transcript[-1].clock) if len(transcript) else ""
        self.numbers = MARGIN + len(last) * CHARACTER  # the right edge of the row numbers
        self.first = self.numbers + 12 + _name_width(names[0]) / 2
        self.left = self.first + (len(names) - 1) * LANE + REACH
        right = REACH + _name_width("server") / 2 + MARGIN
        room = int((WIDTH - self.left - right - 2 * PAD_X) / CHARACTER)
        self.texts = {id(row): self._lines(row, room) for row in rows}
        characters = max([NARROW, *(_width(line) for lines in self.texts.values() for line, _ in lines)])
        self.column = characters * CHARACTER + 2 * PAD_X
        self.server = self.left + self.column + REACH
        self.width = self.left + self.column + right

    def _lines(self, row: Row, room: int) -> list[tuple[str, str]]:
        """What stands in the box of a row, each line within the room that there is, and how it looks."""
        paint, lines = _paint(row), row.lines
        found = []
        for number, line in enumerate(lines):
            style = f'fill="{PROBLEM if line.startswith("! ") else paint.text}" xml:space="preserve"'
            if number == 0 and len(lines) > 1:
                style += ' font-weight="bold"'
            shown = f"{_number(row)}: {line}" if self.shared and number == 0 else line
            found += [(part, style) for part in _wrap(shown, room)]
        return found

    def lifelines(self, bottom: float) -> list[str]:
        """The lines that time goes down, each with a name at its top."""
        drawn = []
        xs = [self.first + lane * LANE for lane in range(len(self.names) - 1)] + [self.server]
        for index, (name, x) in enumerate(zip(self.names, xs, strict=True)):
            is_server = index == len(xs) - 1
            colour = LINE_COLOUR if is_server or self.shared else CLIENTS[index % len(CLIENTS)]
            width = _name_width(name)
            drawn.append(
                f'<line x1="{_n(x)}" y1="{MARGIN + HEAD}" x2="{_n(x)}" y2="{_n(bottom)}" stroke="{LINE_COLOUR}" '
                'stroke-width="1.2" stroke-dasharray="4 4"/>'
            )
            fill = "#2f3a4d" if is_server else "#f6f8fb"
            drawn.append(
                _box(x - width / 2, MARGIN, width, HEAD, f'fill="{fill}" stroke="{colour}" stroke-width="1.6"')
            )
            style = f'text-anchor="middle" font-weight="bold" fill="{"#ffffff" if is_server else "#1f2937"}"'
            drawn.append(_text(name, x, MARGIN + HEAD / 2 + 4.4, style))
        return drawn

    def row(self, row: Row, y: float) -> tuple[str, float]:
        """One row, and its height."""
        lines = self.texts[id(row)]
        paint = _paint(row)
        height = len(lines) * LINE + 2 * PAD_Y - 3
        width = max(_width(line) for line, _ in lines) * CHARACTER + 2 * PAD_X
        x = self.left + (self.column - width) / 2
        middle = y + (LINE + 2 * PAD_Y - 3) / 2
        lane = self.lanes[row.client]
        client = self.first + lane * LANE
        colour = PAINTS["end"].border if row.kind is Kind.END else CLIENTS[_number(row) % len(CLIENTS) - 1]
        if not self.shared and row.kind is not Kind.END:
            colour = CLIENTS[lane % len(CLIENTS)]
        parts = [
            f"<g><title>{_x(str(row))}</title>",
            _text(str(row.clock), self.numbers, middle + 4.3, f'text-anchor="end" fill="{LINE_COLOUR}"'),
            *_arrow(client, self.server, middle, row, colour),
            _box(x, y, width, height, f'fill="{paint.fill}" stroke="{paint.border}"{_dashes(row)}'),
        ]
        for index, (line, style) in enumerate(lines):
            parts.append(_text(line, x + PAD_X, y + PAD_Y + index * LINE + 11.2, style))
        return "\n".join([*parts, "</g>"]), height

    def remark(self, text: str, y: float) -> str:
        """A line of the picture itself."""
        style = f'text-anchor="middle" fill="{LINE_COLOUR}" font-style="italic"'
        return _text(text, self.left + self.column / 2, y + 12, style)


def _number(row: Row) -> int:
    return row.client_number or row.connection


def _arrow(client: float, server: float, y: float, row: Row, colour: str) -> list[str]:
    """From one lifeline to the other, with its point at who hears it; a cross where the connection broke."""
    to_server = row.direction is Direction.TO_SERVER
    start, end = (client, server) if to_server else (server, client)
    back = -1 if to_server else 1
    line = (
        f'<line x1="{_n(start)}" y1="{_n(y)}" x2="{_n(end + back * 7)}" y2="{_n(y)}" stroke="{colour}" '
        f'stroke-width="1.7"{_dashes(row)}/>'
    )
    if row.kind is Kind.END:
        x = end + back * 9
        cross = f"M{_n(x - 4)} {_n(y - 4)}l8 8m0 -8l-8 8"
        return [line, f'<path d="{cross}" stroke="{colour}" stroke-width="2" fill="none"/>']
    point = f"M{_n(end)} {_n(y)}l{_n(back * 9)} -4.5v9z"
    dot = f'<circle cx="{_n(start)}" cy="{_n(y)}" r="3" fill="{colour}"/>'
    return [line, f'<path d="{point}" fill="{colour}"/>', dot]


def _text(text: str, x: float, y: float, style: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" {style}>{_x(text)}</text>'


def _box(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="5" {style}/>'


def _paint(row: Row) -> Paint:
    if row.kind is Kind.FRAME:
        own = {"MESSAGE", "CLOSE"}.isdisjoint(packet.engineio for packet in row.packets)
        if row.opcode in {"PING", "PONG"} or (row.packets and own and not row.problem):
            return PAINTS["control"]  # a heartbeat, or a step of an upgrade: of WebSocket, or of Engine.IO
        if not row.opcode:
            return PAINTS["end"]
        if row.opcode == "CONTINUATION":
            return PAINTS["BINARY" if isinstance(row.message, bytes) else "TEXT"]
        return PAINTS[row.opcode]
    if row.kind in {Kind.REQUEST, Kind.RESPONSE}:
        return PAINTS["http"]
    return PAINTS[row.kind]


def _dashes(row: Row) -> str:
    return ' stroke-dasharray="5 3"' if row.kind in {Kind.END, Kind.RAW} else ""


def _wrap(line: str, room: int) -> list[str]:
    """The line in pieces that are at most so many characters wide."""
    if _width(line) <= room:
        return [line]
    return textwrap.wrap(line, room * len(line) // _width(line), subsequent_indent="  ", expand_tabs=False) or [""]


def _width(text: str) -> int:
    """Characters that a line is wide: those of East Asia and emoji take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _name_width(name: str) -> float:
    return len(name) * CHARACTER + 12


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _x(text: str) -> str:
    """Text inside an element; what XML 1.0 cannot hold is replaced."""
    return escape(
        re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text), False
    )
