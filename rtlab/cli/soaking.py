"""The command ``rtlab soak``: the chat is written into while it is disturbed, for as long as one likes.

What lives here: the command. Everything but click is imported when it is needed.

Exit status: that of ``rtlab check``: 0 pass, 1 fail, 2 wrong use, 3 unknown.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtlab.cli.checking import show_verdict
from rtlab.cli.consoles import console_on, progress_bar

if TYPE_CHECKING:
    import asyncio

    from rtlab.instruments.soaking.outcome import SoakOutcome
    from rtlab.instruments.soaking.plan import SoakPlan
    from rtlab.scale.arguments import Durability

__all__ = ["soak"]

COUNT = click.IntRange(min=1)


@click.command(short_help="Write into the chat while it is disturbed, and judge whether anything was lost.")
@click.option("--messages", type=COUNT, default=2000, show_default=True, help="In each round.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Go on so long, a round after the other.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the first round; then + 1.")
@click.option("--workers", type=COUNT, default=3, show_default=True, help="Processes of the chat.")
@click.option("--clients", type=click.IntRange(min=2), default=5, show_default=True, help="Each behind its own proxy.")
@click.option("--rooms", type=COUNT, default=2, show_default=True, help="That they write in.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=100, show_default=True, help="Messages/s.")
@click.option(
    "--durability",
    type=click.Choice(["memory", "disk", "replica"]),
    default="replica",
    show_default=True,
    help="What an acknowledged message outlives.",
)
@click.option("--faults", metavar="LIST", help="Kinds, with commas, or 'none'.  [default: all that it must survive]")
@click.option(
    "--save", metavar="FILE", type=click.Path(dir_okay=False, writable=True), help="The history of the last round."
)
def soak(
    messages: int,
    minutes: float | None,
    seed: int,
    workers: int,
    clients: int,
    rooms: int,
    rate: float,
    durability: Durability,
    faults: str | None,
    save: str | None,
) -> int:
    """Start a cluster of the chat and clients behind proxies, write, disturb, heal, and judge what the clients saw.

    The same seed asks for the same faults. With --minutes, rounds follow each other with the next seeds, until the time
    is over or a round does not pass. Ctrl-C heals everything and judges what there is; a second one ends at once.
    """
    import asyncio

    from rtlab.instruments.soaking.plan import SoakPlan

    kinds = None if faults is None else () if faults == "none" else tuple(each.strip() for each in faults.split(","))
    plan = SoakPlan(
        messages=messages, seed=seed, workers=workers, clients=clients, rooms=rooms, durability=durability,
        kinds=kinds, rate=rate,
    )  # fmt: skip
    if save is not None:
        _expect_writable(save)
    until = time.monotonic() + 60 * minutes if minutes is not None else 0.0
    while True:
        outcome, stopped = asyncio.run(_run(plan))
        if save is not None:
            outcome.history.save(save)
        console_on().print(outcome)
        show_verdict(outcome.verdict)
        if stopped or outcome.exit_status or time.monotonic() >= until:
            break
        plan = replace(plan, seed=plan.seed + 1)
    if save is not None:
        click.echo(f"`rtlab check {save}` judges this history again.", err=True)
    return outcome.exit_status


def _expect_writable(path: str) -> None:
    """Raises click.FileError now, and not when a round is over."""
    try:
        with Path(path).open("a"):
            pass
    except OSError as error:
        raise click.FileError(path, error.strerror or str(error)) from error


async def _run(plan: SoakPlan) -> tuple[SoakOutcome, bool]:
    """One round; and whether somebody has ended it.

    Raises:
        click.Abort: somebody was in a hurry. Nothing is left then.
    """
    import asyncio

    from rtlab.instruments.soaking.round import SoakRound
    from rtlab.servers.signals import until_signal

    asked = until_signal()
    console = console_on(stderr=True)
    with progress_bar(console, plan.messages) as step:
        this = SoakRound(plan, step)
        running = asyncio.ensure_future(this.run())
        await _first(asked, running)
        if not running.done():
            this.stop()
            hurried = until_signal()  # before it is said: whoever reads that may be quick
            console.print("Healing, and judging what there is. Ctrl-C ends at once.", style="dim")
            await _first(hurried, running)
        if not running.done():
            running.cancel()
            await asyncio.wait([running])
        if running.cancelled():
            raise click.Abort
    return running.result(), asked.done()


async def _first(*waiting: asyncio.Future[Any]) -> None:
    """Wait for the first of them."""
    import asyncio

    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
