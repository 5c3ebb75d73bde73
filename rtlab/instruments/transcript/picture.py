"""The picture of a transcript: a sequence diagram in SVG.

What lives here: `draw`, a pure function from rows to SVG: lifelines of the clients on the left, the server's on the
right, time going down, an arrow for each row with what it says in a box.

`drawing` has what it is drawn with, and why so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rtlab.instruments.direction import Direction
from rtlab.instruments.drawing import (
    CHARACTER,
    CLIENTS,
    FONT,
    LINE,
    LINE_COLOUR,
    PAINTS,
    PROBLEM,
    SIZE,
    Paint,
    box,
    escaped,
    label,
    spelled,
    width_of,
)
from rtlab.instruments.transcript.rows import Kind, Row

__all__ = ["LANES", "ROWS_SHOWN", "draw"]

ROWS_SHOWN = 60
"""Rows in a picture. It would be too long to look at otherwise: the first three quarters are shown, and the last."""
LANES = 6
"""Clients that get a lifeline each. More share one, and their number stands in the box."""

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
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{spelled(width)}" height="{spelled(height)}" '
        f'viewBox="0 0 {spelled(width)} {spelled(height)}" role="img" font-family="{FONT}" font-size="{SIZE}">'
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
        characters = max([NARROW, *(width_of(line) for lines in self.texts.values() for line, _ in lines)])
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
                f'<line x1="{spelled(x)}" y1="{MARGIN + HEAD}" x2="{spelled(x)}" y2="{spelled(bottom)}" '
                f'stroke="{LINE_COLOUR}" stroke-width="1.2" stroke-dasharray="4 4"/>'
            )
            fill = "#2f3a4d" if is_server else "#f6f8fb"
            drawn.append(box(x - width / 2, MARGIN, width, HEAD, f'fill="{fill}" stroke="{colour}" stroke-width="1.6"'))
            style = f'text-anchor="middle" font-weight="bold" fill="{"#ffffff" if is_server else "#1f2937"}"'
            drawn.append(label(name, x, MARGIN + HEAD / 2 + 4.4, style))
        return drawn

    def row(self, row: Row, y: float) -> tuple[str, float]:
        """One row, and its height."""
        lines = self.texts[id(row)]
        paint = _paint(row)
        height = len(lines) * LINE + 2 * PAD_Y - 3
        width = max(width_of(line) for line, _ in lines) * CHARACTER + 2 * PAD_X
        x = self.left + (self.column - width) / 2
        middle = y + (LINE + 2 * PAD_Y - 3) / 2
        lane = self.lanes[row.client]
        client = self.first + lane * LANE
        colour = PAINTS["end"].border if row.kind is Kind.END else CLIENTS[_number(row) % len(CLIENTS) - 1]
        if not self.shared and row.kind is not Kind.END:
            colour = CLIENTS[lane % len(CLIENTS)]
        parts = [
            f"<g><title>{escaped(str(row))}</title>",
            label(str(row.clock), self.numbers, middle + 4.3, f'text-anchor="end" fill="{LINE_COLOUR}"'),
            *_arrow(client, self.server, middle, row, colour),
            box(x, y, width, height, f'fill="{paint.fill}" stroke="{paint.border}"{_dashes(row)}'),
        ]
        for index, (line, style) in enumerate(lines):
            parts.append(label(line, x + PAD_X, y + PAD_Y + index * LINE + 11.2, style))
        return "\n".join([*parts, "</g>"]), height

    def remark(self, text: str, y: float) -> str:
        """A line of the picture itself."""
        style = f'text-anchor="middle" fill="{LINE_COLOUR}" font-style="italic"'
        return label(text, self.left + self.column / 2, y + 12, style)


def _number(row: Row) -> int:
    return row.client_number or row.connection


def _arrow(client: float, server: float, y: float, row: Row, colour: str) -> list[str]:
    """From one lifeline to the other, with its point at who hears it; a cross where the connection broke."""
    to_server = row.direction is Direction.TO_SERVER
    start, end = (client, server) if to_server else (server, client)
    back = -1 if to_server else 1
    line = (
        f'<line x1="{spelled(start)}" y1="{spelled(y)}" x2="{spelled(end + back * 7)}" y2="{spelled(y)}" '
        f'stroke="{colour}" stroke-width="1.7"{_dashes(row)}/>'
    )
    if row.kind is Kind.END:
        x = end + back * 9
        cross = f"M{spelled(x - 4)} {spelled(y - 4)}l8 8m0 -8l-8 8"
        return [line, f'<path d="{cross}" stroke="{colour}" stroke-width="2" fill="none"/>']
    point = f"M{spelled(end)} {spelled(y)}l{spelled(back * 9)} -4.5v9z"
    dot = f'<circle cx="{spelled(start)}" cy="{spelled(y)}" r="3" fill="{colour}"/>'
    return [line, f'<path d="{point}" fill="{colour}"/>', dot]


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
    if width_of(line) <= room:
        return [line]
    return textwrap.wrap(line, room * len(line) // width_of(line), subsequent_indent="  ", expand_tabs=False) or [""]


def _name_width(name: str) -> float:
    return len(name) * CHARACTER + 12


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"
