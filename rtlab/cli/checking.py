"""The command of ``rtlab`` that judges what clients of a chat saw: ``check``.

What lives here: one function per command. Everything but click is imported when a command needs it.

Exit status: 0 where the history keeps every guarantee, 1 where it breaks one, 3 where too little was observed to say.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtlab.cli.consoles import console_on

if TYPE_CHECKING:
    from rtlab.instruments.checking.verdict import HistoryVerdict

__all__ = ["STATUS", "check", "show_verdict"]

STATUS = {"pass": 0, "fail": 1, "unknown": 3}
"""Exit status of each verdict; 2 is for a misused command."""
COLOURS = {"pass": "bold green", "fail": "bold red", "unknown": "bold yellow"}


@click.command(short_help="Judge a recorded history: did the chat keep its promises?")
@click.argument("history", metavar="HISTORY.json", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--svg",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True),
    help="Also write a picture: clients, messages and faults, with what went wrong in red.",
)
def check(history: str, svg: str | None) -> int:
    """Judge what the clients of a chat saw, as History.save has written it.

    Exit status: 0 pass, 1 fail, 2 misused, 3 unknown, because too little was observed.
    """
    from rtlab.instruments.checking.checker import check as judge
    from rtlab.instruments.checking.history import ObservedHistory

    try:
        verdict = judge(ObservedHistory.load(history))
    except OSError as error:
        raise click.ClickException(f"{history} cannot be read: {error.strerror}.") from error
    if svg is not None:
        try:
            Path(svg).write_text(verdict._repr_svg_(), encoding="utf-8")
        except OSError as error:
            raise click.FileError(svg, error.strerror or str(error)) from error
    show_verdict(verdict)
    return STATUS[verdict.result]


def show_verdict(verdict: HistoryVerdict) -> None:
    """Print a verdict: the result, each finding, and for each failure the smallest history that shows it."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = console_on()
    faults = len(verdict.history.only(kind="fault"))
    about = f"{len(verdict.history):,} events, {len(verdict.history.clients):,} clients, {faults:,} events of faults"
    if not console.is_terminal:
        click.echo(f"{verdict.result}  {about}")
        for each in verdict.findings:
            click.echo(f"{each.guarantee:12}  {each.result:7}  {each.story}")
            for line in str(each.smallest).splitlines() if each.smallest is not None else ():
                click.echo(f"    {line}")
        if verdict.unshown:
            click.echo(f"and {verdict.unshown:,} more failures")
        return
    console.print(Text.assemble((verdict.result, COLOURS[verdict.result]), f"  {about}"))
    for each in verdict.findings:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=12)
        table.add_column(width=7)
        table.add_column(overflow="fold")
        table.add_row(Text(each.guarantee), Text(each.result, COLOURS[each.result]), Text(each.story))
        console.print(table)
        if each.smallest is not None:
            console.print(Padding(Text(str(each.smallest), style="dim"), (0, 0, 1, 4)))
    if verdict.unshown:
        console.print(Text(f"and {verdict.unshown:,} more failures"))
