"""The picture of a history: a lane for each client, time going down, faults as bands across, what went wrong in red.

What lives here: `draw`, a pure function from a history to SVG. It must not know guarantees: it is told what to mark.
`drawing` has what it is drawn with, and why so.

A thin line leads from where a message is sent to each client that gets it, as in the diagrams of distributed systems.
A client's lifeline is solid while it is in the room, dashed while it is cut off, dotted while it is out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rtlab.instruments.checking.fault_spans import FaultSpan, spans
from rtlab.instruments.checking.happenings import (
    AttemptAcknowledged,
    AttemptRefused,
    AttemptSent,
    AttemptUnanswered,
    ClientDisconnected,
    ClientHappening,
    FaultSeen,
    Happening,
    MessageReceived,
)
from rtlab.instruments.checking.timeline_rows import BRIEF, Missing, brief, chosen, lanes, state_after
from rtlab.instruments.checking.wording import counted, describe, named
from rtlab.instruments.drawing import (
    CHARACTER,
    CLIENTS,
    FONT,
    LINE_COLOUR,
    PAINTS,
    SIZE,
    Paint,
    box,
    escaped,
    label,
    spelled,
    width_of,
)

__all__ = ["FAULTS_SHOWN", "WIDTH", "Missing", "draw"]

WIDTH = 800
"""Pixels of the widest picture: notebooks cut off what is wider than a page, they do not scale it."""
FAULTS_SHOWN = 12
"""Faults that get a band. The others are counted."""
MARGIN, HEAD, ROW, GAP = 10, 25, 26, 26
"""Pixels: around the picture, of the boxes with names, of a row, and of a line that says that rows are left out."""
LANE = 130
"""Pixels of a lane where there are few."""
FAULTS = 184
"""Pixels of the column on the right that says what the bands are."""
RED = "#d63a4c"
"""What went wrong: a contrast of 4 with white and with JupyterLab's dark #111."""
MARKED = Paint("#fde4e6", RED, "#731722")
BAND = "#e08a1e"
"""Of a fault, mostly transparent: it lies over a light page and over a dark one."""
LINES = {
    "in": 'stroke-width="2"',
    "away": 'stroke-width="1.6" stroke-dasharray="6 5"',
    "out": 'stroke-width="1" stroke-dasharray="1 5"',
}
"""How a lifeline looks."""


def draw(history: Sequence[Happening], marked: Collection[int] = (), missing: Sequence[Missing] = ()) -> str:
    """The history as SVG, without anything that differs from run to run.

    Args:
        history: its events.
        marked: the times of events that show what went wrong.
        missing: messages that did not come.
    """
    events = [each for each in history if isinstance(each, ClientHappening)]
    needed = [each.client for each in missing] + [each.client for each in events if each.at in marked]
    clients = lanes(events, needed)
    rows = chosen([each for each in events if each.client in clients], marked)
    plan = _Layout(events, rows, clients, list(history), frozenset(marked), [e for e in missing if e.client in clients])
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{spelled(plan.width)}" height="{spelled(plan.height)}" '
        f'viewBox="0 0 {spelled(plan.width)} {spelled(plan.height)}" role="img" font-family="{FONT}" '
        f'font-size="{SIZE}">'
    )
    said = counted(len({each.client for each in events}), "client")
    title = f"<title>History: {counted(len(history), 'event')}, {said}</title>"
    return "\n".join([head, title, *plan.bands(), *plan.lifelines(), *plan.messages(), *plan.boxes(), "</svg>"])


class _Layout:
    """Where everything stands."""

    def __init__(
        self,
        events: Sequence[ClientHappening],
        rows: Sequence[ClientHappening],
        clients: Sequence[str],
        history: Sequence[Happening],
        marked: frozenset[int],
        missing: Sequence[Missing],
    ) -> None:
        self.events, self.rows, self.clients, self.marked, self.missing = events, rows, clients, marked, missing
        self.faults = self._faults([each for each in history if isinstance(each, FaultSeen)])
        last = str(rows[-1].at) if rows else ""
        self.left = MARGIN + len(last) * CHARACTER + 10
        right = FAULTS if self.faults else MARGIN
        self.lane = min(LANE, (WIDTH - self.left - right) / max(1, len(clients)))
        self.lanes_end = self.left + max(2, len(clients)) * self.lane
        self.width = self.lanes_end + right
        self.several_rooms = len({each.room for each in rows}) > 1
        self.remarks: list[tuple[str, float]] = []
        self.y: dict[int, float] = {}
        """The middle of the row of each time that is shown."""
        self.y_missing: list[float] = []
        self.bottom = self._place(len({each.client for each in events}) - len(clients))
        self.height = self.bottom + MARGIN

    def _faults(self, faults: Sequence[FaultSeen]) -> list[FaultSpan]:
        if not self.rows:
            return []
        return [each for each in spans(faults) if each.touches(self.rows[0].at, self.rows[-1].at)]

    def _place(self, hidden_clients: int) -> float:
        """Give each row its place, and say where rows are left out."""
        y = MARGIN + HEAD + 10.0
        shown_clients = set(self.clients)
        number = {each.at: place for place, each in enumerate(e for e in self.events if e.client in shown_clients)}
        before = -1
        due = sorted(self.missing, key=lambda each: each.at)
        for row in self.rows:
            y = self._place_missing(due, row.at, y)
            if number[row.at] > before + 1:
                self.remarks.append((f"{counted(number[row.at] - before - 1, 'event')} not shown", y + GAP / 2))
                y += GAP
            self.y[row.at] = y + ROW / 2
            y += ROW
            before = number[row.at]
        y = self._place_missing(due, None, y)
        notes = []
        if len(number) > before + 1:
            notes.append(f"{counted(len(number) - before - 1, 'event')} not shown")
        if hidden_clients:
            notes.append(f"{counted(hidden_clients, 'client')} not shown")
        if len(self.faults) > FAULTS_SHOWN:
            notes.append(f"{counted(len(self.faults) - FAULTS_SHOWN, 'fault')} not shown")
        for note in notes or ([] if self.rows else ["nothing yet"]):
            self.remarks.append((note, y + GAP / 2))
            y += GAP
        return y + 4

    def _place_missing(self, due: list[Missing], at: int | None, y: float) -> float:
        """A row for what should have come before this time."""
        came = [each for each in due if at is None or each.at < at]
        if came:
            del due[: len(came)]
            self.y_missing += [y + ROW / 2] * len(came)
            y += ROW
        return y

    def x(self, client: str) -> float:
        """The middle of a client's lane."""
        return self.left + (self.clients.index(client) + 0.5) * self.lane

    def bands(self) -> list[str]:
        """Faults across all lanes, from the first row after they began to the last before they were over."""
        drawn, free = [], 0.0
        for each in self.faults[:FAULTS_SHOWN]:
            top = min((y for at, y in self.y.items() if at >= each.begin), default=self.bottom) - ROW / 2
            ended = [y for at, y in self.y.items() if each.end is None or at <= each.end]
            bottom = max([top + 3, *(y + ROW / 2 for y in ended)])
            style = f'fill="{BAND}" fill-opacity="0.2" stroke="{BAND}" stroke-opacity="0.55"'
            drawn.append(
                f"<g><title>{escaped(str(each))}</title>"
                + box(self.left, top, self.lanes_end - self.left, bottom - top, style)
                + "</g>"
            )
            free = max(free + 22, top)
            words = named(each.what, int((FAULTS - MARGIN - 16) / CHARACTER))
            paint = PAINTS["handshake"]
            width = width_of(words) * CHARACTER + 12
            drawn.append(box(self.lanes_end + 6, free, width, 20, f'fill="{paint.fill}" stroke="{paint.border}"'))
            drawn.append(label(words, self.lanes_end + 12, free + 14, f'fill="{paint.text}"'))
        return drawn

    def lifelines(self) -> list[str]:
        """The lines that time goes down, each with a name at its top."""
        drawn = []
        for number, client in enumerate(self.clients):
            x, colour = self.x(client), CLIENTS[number % len(CLIENTS)]
            state, top = "out", float(MARGIN + HEAD)
            for event in self.events:
                if event.client != client:
                    continue
                after = state_after(event, state)
                if after == state:
                    continue
                if event.at in self.y:
                    drawn.append(_line(x, top, x, self.y[event.at], f'stroke="{colour}" {LINES[state]}'))
                    top = self.y[event.at]
                state = after
            drawn.append(_line(x, top, x, self.bottom, f'stroke="{colour}" {LINES[state]}'))
            words = named(client, int((self.lane - 14) / CHARACTER))
            width = width_of(words) * CHARACTER + 12
            drawn.append(
                box(x - width / 2, MARGIN, width, HEAD, f'fill="#f6f8fb" stroke="{colour}" stroke-width="1.6"')
            )
            style = 'text-anchor="middle" font-weight="bold" fill="#1f2937"'
            drawn.append(label(words, x, MARGIN + HEAD / 2 + 4.4, style))
        return drawn

    def messages(self) -> list[str]:
        """A line from each message that is sent to each client that gets it, or should have."""
        drawn = []
        sent: dict[tuple[str, str], AttemptSent] = {}
        for event in self.rows:
            if isinstance(event, AttemptSent):
                sent.setdefault((event.room, event.id), event)
            elif isinstance(event, MessageReceived) and event.id is not None:
                origin = sent.get((event.room, event.id))
                if origin is not None and origin.client != event.client:
                    bad = event.at in self.marked
                    colour = RED if bad else CLIENTS[self.clients.index(origin.client) % len(CLIENTS)]
                    drawn.append(self._from(origin, event.client, self.y[event.at], colour, bad=bad))
        by_id = {id_: event for (_, id_), event in sent.items()}
        for each, y in zip(sorted(self.missing, key=lambda each: each.at), self.y_missing, strict=True):
            if each.id in by_id and by_id[each.id].client != each.client:
                drawn.append(self._from(by_id[each.id], each.client, y, RED, bad=True, came=False))
        return drawn

    def _from(self, origin: AttemptSent, client: str, y: float, colour: str, *, bad: bool, came: bool = True) -> str:
        style = f'stroke="{colour}" stroke-width="{1.8 if bad else 1}" stroke-opacity="{1 if bad else 0.75}"'
        dashes = "" if came else ' stroke-dasharray="5 4"'
        return _line(self.x(origin.client), self.y[origin.at], self.x(client), y, style + dashes)

    def boxes(self) -> list[str]:
        """The rows, each with its time, and remarks between them."""
        drawn = []
        for event in self.rows:
            y, marked = self.y[event.at], event.at in self.marked
            style = f'text-anchor="end" fill="{LINE_COLOUR}"'
            drawn.append(label(str(event.at), self.left - 8, y + 4.3, style))
            room = f" in {named(event.room)}" if self.several_rooms else ""
            said = f"{event.at}: {named(event.client)} {describe(event)}{room}"
            words = f"{named(event.room, BRIEF)}: {brief(event)}" if self.several_rooms else brief(event)
            drawn.append(self._box(self.x(event.client), y, words, said, MARKED if marked else _paint(event), marked))
        for each, y in zip(sorted(self.missing, key=lambda each: each.at), self.y_missing, strict=True):
            said = f"{named(each.client)} should have received {named(each.id)} by {each.at}"
            drawn.append(self._box(self.x(each.client), y, f"no {named(each.id, BRIEF)}!", said, MARKED, marked=True))
        middle = (self.left + self.lanes_end) / 2
        style = f'text-anchor="middle" fill="{LINE_COLOUR}" font-style="italic"'
        return [*drawn, *(label(text, middle, y + 4.3, style) for text, y in self.remarks)]

    def _box(self, x: float, y: float, words: str, said: str, paint: Paint, marked: bool) -> str:
        words = named(words, int((self.lane - 14) / CHARACTER))
        width = width_of(words) * CHARACTER + 12
        border = f'fill="{paint.fill}" stroke="{paint.border}" stroke-width="{2.2 if marked else 1}"'
        weight = ' font-weight="bold"' if marked else ""
        text = label(words, x, y + 4.2, f'text-anchor="middle" fill="{paint.text}"{weight}')
        return f"<g><title>{escaped(said)}</title>{box(x - width / 2, y - 10, width, 20, border)}{text}</g>"


def _paint(event: ClientHappening) -> Paint:
    match event:
        case AttemptAcknowledged():
            return PAINTS["event"]
        case AttemptRefused() | AttemptUnanswered():
            return PAINTS["handshake"]
        case AttemptSent() | MessageReceived():
            return PAINTS["TEXT"]
        case ClientDisconnected():
            return PAINTS["raw"]
    return PAINTS["control"]


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{spelled(x1)}" y1="{spelled(y1)}" x2="{spelled(x2)}" y2="{spelled(y2)}" {style}/>'
