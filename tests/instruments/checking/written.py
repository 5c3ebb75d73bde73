"""Short histories written as text, a line for each event: ``alice sends m1``, ``bob gets m1 at 2-0``."""

from __future__ import annotations

from rtlab.instruments.checking.history import ObservedHistory
from rtlab.instruments.checking.recorder import HistoryRecorder


def written(text: str, *, bound: int = 100) -> ObservedHistory:
    """A history. Lines: ``NAME asks``, ``joins OFFSET``, ``returns AFTER OFFSET [lost] [incomplete]``, ``sends ID``,
    ``acked ID OFFSET``, ``refused ID CODE``, ``unanswered ID``, ``gets ID OFFSET``, ``pages ID OFFSET``, ``leaves``,
    ``cut``, ``settles OFFSET``, and ``! TARGET WHAT [PHASE]`` for a fault. ``NAME@ROOM`` is in another room."""
    recorder = HistoryRecorder(bound, clock=lambda: 0.0)
    for line in filter(str.strip, text.splitlines()):
        who, what, *more = line.split()
        name, _, room = who.partition("@")
        room = room or "lobby"
        if who == "!":
            recorder.fault(more[0], what, *more[1:])
            continue
        client = recorder.client(name, user=name.partition("-")[0])
        match what:
            case "asks":
                client.joining(room)
            case "joins":
                client.joined(room, None, more[0], True, False)
            case "returns":
                lost = "lost" in more
                after = None if more[0] == "-" else more[0]
                client.joined(room, after, more[1], not lost and "incomplete" not in more, lost)
            case "sends":
                client.sent(room, more[0])
            case "acked":
                client.acknowledged(room, *more)
            case "refused":
                client.refused(room, *more)
            case "unanswered":
                client.unanswered(room, *more)
            case "gets" | "pages":
                client.received(room, None if more[0] == "-" else more[0], more[1], what == "gets")
            case "leaves":
                client.left(room)
            case "cut":
                recorder.disconnected(name, room)
            case "settles":
                client.settled(room, more[0])
            case _:
                raise AssertionError(line)
    return recorder.history
