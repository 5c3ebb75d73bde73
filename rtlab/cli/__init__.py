"""The command line: ``rtlab``, one function per command, which calls what does the work and shows what came of it."""

from rtlab.cli.commands import main

__all__ = ["main"]
