"""The commands of ``rtlab`` that measure: ``bench echo``, ``bench tap``, ``bench durability``.

What lives here: one function per command. Everything but click is imported when a command needs it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rtlab.instruments.measuring.bench import EchoRow

__all__ = ["bench"]

SIZE = click.IntRange(min=1)


@click.group()
def bench() -> None:
    """Measure on this machine, all in one run."""


@bench.command("echo")
@click.option("--seconds", type=click.FloatRange(min=0.05), default=1.0, show_default=True, help="Length of a round.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="How often each is measured.")
@click.option("--size", "sizes", metavar="BYTES", type=SIZE, multiple=True, help="Of a message.  [default: 100, 65536]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench_echo(seconds: float, rounds: int, sizes: tuple[int, ...], as_json: bool) -> int:
    """Compare the echo servers: ours by hand, websockets, aiohttp. Each runs on one core."""
    import asyncio
    from dataclasses import asdict

    from rich.console import Console

    from rtlab.instruments.measuring import bench as benchmarks

    progress = Console(stderr=True)
    with progress.status("starting the servers") as status:
        rows = asyncio.run(
            benchmarks.echo(sizes or benchmarks.SIZES, seconds=seconds, rounds=rounds, progress=status.update)
        )
    if as_json:
        click.echo(json.dumps({"machine": benchmarks.machine(), "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        _show_echo(rows, benchmarks.machine())
    return 0


@bench.command("tap")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="How often each is measured.")
@click.option("--messages", type=click.IntRange(min=1), default=2000, show_default=True, help="In each round.")
def bench_tap(rounds: int, messages: int) -> int:
    """Compare an echo server with the same server behind a tap."""
    import asyncio

    from rich.console import Console

    from rtlab.instruments.measuring.tap_cost import tap_cost

    with Console(stderr=True).status("starting") as status:
        cost = asyncio.run(tap_cost(rounds=rounds, messages=messages, progress=status.update))
    click.echo(str(cost))
    return 0


@bench.command("durability")
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="How often each is measured.")
@click.option("--messages", type=click.IntRange(min=1), default=500, show_default=True, help="In each round.")
@click.option("--failovers", type=click.IntRange(min=0), default=0, show_default=True, help="Some 10 s each.")
def bench_durability(rounds: int, messages: int, failovers: int) -> int:
    """Compare what it costs to keep a message: told only, stored first, on disk, by two servers."""
    import asyncio

    from rich.console import Console

    from rtlab.instruments.measuring.durability_cost import durability_cost, failover_times

    with Console(stderr=True).status("starting") as status:
        click.echo(str(asyncio.run(durability_cost(rounds=rounds, messages=messages, progress=status.update))))
        if failovers:
            click.echo(str(asyncio.run(failover_times(times=failovers, progress=status.update))))
    return 0


def _show_echo(rows: list[EchoRow], machine: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("message", "stack", "n", "messages/s", "of websockets", "server CPU, µs each"):
        table.add_column(name, justify="left" if name == "stack" else "right")
    for row in rows:
        reference = next((each for each in rows if (each.stack, each.size) == ("websockets", row.size)), row)
        table.add_row(
            f"{row.size} B",
            row.stack,
            f"{row.rounds} x {row.count}",
            f"{row.per_second:,.0f}",
            f"{row.per_second / reference.per_second:.2f}",
            f"{row.cpu_us:.1f}",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Medians over the rounds; one connection, no compression, client on another core. {machine}")
