"""The commands of ``rtlab`` that run servers and look at them: ``serve``, ``tap``, ``bench``.

What lives here: one function per command. `rtlab.cli` registers them. Everything but click is imported when a
command needs it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rtlab.instruments.measuring.bench import EchoRow

__all__ = ["bench", "serve", "tap"]

SIZE = click.IntRange(min=1)


@click.group()
def serve() -> None:
    """Run one of the lab's servers until Ctrl-C or SIGTERM. It listens on this machine only."""


@serve.command("echo")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TCP port.  [default: a free one]")
@click.option(
    "--stack",
    type=click.Choice(["hand", "websockets", "aiohttp"]),
    default="hand",
    show_default=True,
    help="What it is built on: our own wire core, or a library.",
)
@click.option("--max-message-size", metavar="BYTES", type=SIZE, help="Close with 1009 above this.  [default: 1 MiB]")
@click.option(
    "--max-fragments", metavar="COUNT", type=SIZE, help="Close with 1008 above this (only by hand).  [default: 1024]"
)
def serve_echo(port: int, stack: str, max_message_size: int | None, max_fragments: int | None) -> int:
    """Send every message back: unchanged on /, and on /json as chapter 03 has it."""
    import asyncio

    from rtlab.servers import echo

    limits = {"max_message_size": max_message_size, "max_fragments": max_fragments}
    given = {name: value for name, value in limits.items() if value is not None}
    if stack != "hand" and "max_fragments" in given:
        raise click.UsageError(f"--max-fragments works with --stack hand only: {stack} has no such limit.")
    app = echo.create_app(stack, **given)  # type: ignore[arg-type]
    asyncio.run(_serve(app, port))
    return 0


async def _serve(app: object, port: int) -> None:
    from rtlab.servers.hosting import serve as host
    from rtlab.servers.signals import until_signal

    asked = until_signal()
    async with host(app, port=port) as server:
        click.echo(server.ws_url)
        await asked


@click.command()
@click.argument("url")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TCP port of the tap.  [default: a free one]")
@click.option(
    "--save", metavar="FILE", type=click.Path(dir_okay=False), help="Write the transcript, for rtlab.Transcript.load."
)
def tap(url: str, port: int, save: str | None) -> int:
    """Stand between a server and its clients, and show what goes over the wire, until Ctrl-C.

    URL is the server's, http:// or ws://. Bytes are passed on unchanged.
    """
    import asyncio

    from rich.console import Console

    from rtlab.instruments.wiretap.watching import watch

    return asyncio.run(watch(url, Console(highlight=False), port=port, save=save))


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
