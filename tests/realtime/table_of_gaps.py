"""The table of gaps: what the protocols ask for, and which servers do it, seen by running it.

    python tests/realtime/table_of_gaps.py            # the behaviours that some server lacks
    python tests/realtime/table_of_gaps.py --all      # all of them, with the rule that asks for each
    python tests/realtime/table_of_gaps.py --markdown # as a Markdown table

The behaviours are those of the conformance tests. A cell is "yes", or how the server differs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from realtime.conformance.behaviours import Behaviour, Outcomes

HEADINGS = {"plain": "python-socketio", "node": "Node", "ours": "rtlab.realtime"}
LIMIT_S = 8.0
"""Seconds that each behaviour has: most take milliseconds, and what takes longer is not there."""
CELL = 70
"""How many characters a cell has for what is different."""


async def gather() -> tuple[list[Behaviour], dict[str, Outcomes]]:
    """All behaviours, and what came of them on each kind of server."""
    from deadlines import SCALE
    from realtime.conformance.behaviours import outcomes
    from realtime.conformance.catalogue import BEHAVIOURS
    from realtime.conformance.servers import serve

    found = {}
    for kind in HEADINGS:
        async with serve(kind) as url:
            found[kind] = await outcomes(url, BEHAVIOURS, lambda _: LIMIT_S * SCALE)
    return BEHAVIOURS, found


def cell(error: Exception | None) -> str:
    """ "yes", or what came instead of what was expected, in a few words."""
    if error is None:
        return "yes"
    said = str(error) or type(error).__name__
    short = re.sub(r"^.*?expected it to be (closed|among it), and it (is|goes on)\b.*$", r"not \1", said)
    short = re.sub(r"^.*?: expected .*?, (?:got|and) (.*)$", r"\1", short, flags=re.DOTALL)
    short = re.sub(r"^none came$", "no answer", short)
    return f"no: {short if len(short) <= CELL else short[:CELL] + '…'}"


def print_table(behaviours: list[Behaviour], found: dict[str, Outcomes], *, everything: bool, markdown: bool) -> None:
    """Print it."""
    columns = ["Behaviour", *(["Rule"] if everything else []), *HEADINGS.values()]
    rows = [
        [each.title, *([each.rule] if everything else []), *(cell(found[kind][each.name]) for kind in HEADINGS)]
        for each in behaviours
        if everything or any(found[kind][each.name] for kind in HEADINGS)
    ]
    totals = [f"{sum(error is None for error in found[kind].values())} of {len(behaviours)}" for kind in HEADINGS]
    rows.append(["all", *([""] if everything else []), *totals])
    if markdown:
        for row in (columns, ["---"] * len(columns), *rows):
            print("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |")
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description="What the protocols ask for, and which servers do it.")
    parser.add_argument("--all", action="store_true", help="the behaviours that all servers have, too")
    parser.add_argument("--markdown", action="store_true", help="as a Markdown table")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    logging.disable(logging.CRITICAL)  # the servers say a lot about what the behaviours do to them
    behaviours, found = asyncio.run(gather())
    print_table(behaviours, found, everything=options.all, markdown=options.markdown)


if __name__ == "__main__":
    main()
