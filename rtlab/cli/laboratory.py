"""The commands of ``rtlab`` that run servers and look at them and at the machine: ``serve``, ``tap``, ``doctor``.

What lives here: one function per command. Everything but click is imported when a command needs it.
"""

from __future__ import annotations

import click

from rtlab.cli.consoles import console_on, status_line

__all__ = ["doctor", "serve", "tap"]

SIZE = click.IntRange(min=1)


@click.group()
def serve() -> None:
    """Run one of the lab's servers until Ctrl-C or SIGTERM. It listens on this machine only, unless --host is given."""


@serve.command("echo", short_help="Run an echo server.")
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


@click.command(short_help="Show what goes over the wire between a server and its clients.")
@click.argument("url")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TCP port of the tap.  [default: a free one]")
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Also write the transcript, for rtlab.Transcript.load. Tokens and cookies are in it: only you can read it.",
)
@click.option(
    "--ca",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The certificate of the CA to trust, in PEM, for https:// and wss://.  [default: those of this machine]",
)
def tap(url: str, port: int, save: str | None, ca: str | None) -> int:
    """Stand between a server and its clients, and show what goes over the wire, until Ctrl-C.

    URL is the server's: http://, ws://, https:// or wss://. Bytes are passed on unchanged. Clients speak to the tap
    without TLS.
    """
    import asyncio

    from rich.console import Console

    from rtlab.instruments.wiretap.watching import watch

    if save is not None:
        click.echo(
            f"{save} will hold all that goes over the wire, tokens and cookies too. Only you can read it (mode 0600): "
            "take them out before you pass it on.",
            err=True,
        )
    return asyncio.run(watch(url, Console(highlight=False), port=port, save=save, ssl=ca))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Look at what this machine has and lacks for the course."""
    from rtlab.instruments.doctor.doctor import diagnose

    with status_line(console_on(stderr=True)) as say:
        diagnosis = diagnose(progress=say)
    if as_json:
        click.echo(diagnosis.to_json())
    else:
        console_on().print(diagnosis)
    return diagnosis.exit_status
