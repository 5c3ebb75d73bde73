"""The order in which the rows of a recording stand.

What lives here: `arrange`, a pure function. It must not know storage or labels.

The order: rows stand as they came, but for one thing. A broadcast has no order among those who hear it: the server's
set of clients has another one each time. So where one side says the same on several connections, while the other side
says nothing, these rows stand together, by the number of the connection, at the place of the first of them. Within one
connection nothing ever changes places.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from rtlab.instruments.transcript.rows import Row

__all__ = ["LOOK_AHEAD", "arrange"]

LOOK_AHEAD = 100
"""Rows of a run among which the next broadcast is looked for. More would cost more than they are worth."""


def arrange(run: Sequence[Row]) -> list[Row]:
    """The rows of a run with its broadcasts brought together."""
    contents = [(row.kind, row.opcode, _content(row)) for row in run]
    client_of = {row.connection: row.client_number for row in run}
    queues: dict[int, deque[int]] = {}  # what each connection has still to say, as indices
    speakers: dict[object, Counter[int]] = {}  # how often each thing is still to be said, by connection
    for index, row in enumerate(run):
        queues.setdefault(row.connection, deque()).append(index)
        speakers.setdefault(contents[index], Counter())[row.connection] += 1
    if len(queues) < 2:
        return list(run)
    order: list[int] = []
    left = [True] * len(run)

    def say(connection: int) -> None:
        index = queues[connection].popleft()
        order.append(index)
        left[index] = False
        counts = speakers[contents[index]]
        counts[connection] -= 1
        if not counts[connection]:
            del counts[connection]

    def speaking(connection: int) -> tuple[int, int]:
        """The connections of one Engine.IO session stand together, where its first one would stand."""
        return client_of[connection] or connection, connection

    def together(index: int) -> bool:
        """Whether it is what every connection that has it still to say says next."""
        content = contents[index]
        return left[index] and all(contents[queues[each][0]] == content for each in speakers[content])

    for first in range(len(run)):
        while left[first]:
            ahead = range(first, min(first + LOOK_AHEAD, len(run)))
            chosen = next((index for index in ahead if together(index)), first)
            alone = not together(chosen)  # two broadcasts that cross each other: as they came
            for connection in [run[first].connection] if alone else sorted(speakers[contents[chosen]], key=speaking):
                say(connection)
    return [run[index] for index in order]


def _content(row: Row) -> str | bytes:
    """What a row says. Of long-polling it is the body: all responses are 200 OK."""
    if row.message is not None:
        return row.message
    return row.body if row.session and row.body is not None else row.summary
