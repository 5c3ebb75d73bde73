"""The command ``rtlab``.

What lives here: `main`, and the group that all commands belong to. The commands are in the modules beside it, a module
for each group of them; everything but click is imported when a command needs it, so that ``rtlab --help`` answers at
once.

Exit status: 0 when all is well (all points made), 1 when not, 2 when the command was misused, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys

import click

import rtlab
from rtlab.cli import chat, checking, course, emitting, laboratory, measuring, scale, soaking
from rtlab.errors import RtlabError

__all__ = ["main"]

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and end the process with its exit status."""
    try:
        status = commands.main(arguments, prog_name="rtlab", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except RtlabError as error:
        click.echo(f"Error: {error}", err=True)
        status = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        status = INTERRUPTED
    except BrokenPipeError:  # `rtlab exercises | head -1`: whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rtlab.__version__, prog_name="rtlab")
@click.option(
    "--root", metavar="DIR", type=click.Path(file_okay=False), help="The course's folder. [default: found upwards]"
)
@click.pass_context
def commands(context: click.Context, root: str | None) -> None:
    """The Real-Time Lab: a course on WebSockets and Socket.IO.

    An exercise NN is named by its number, its topic or its folder: 0, 00, hello and 00_hello mean the same.
    """
    context.obj = root


laboratory.serve.add_command(chat.serve_chat)
for command in (
    course.grade, course.list_exercises, course.reset, course.hint,
    laboratory.doctor, laboratory.serve, laboratory.tap, measuring.bench, scale.nginx_config, chat.token, emitting.emit,
    soaking.soak,
    checking.check,
):  # fmt: skip
    commands.add_command(command)
