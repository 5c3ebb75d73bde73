"""The file of a transcript: JSON lines, a line about the file and then a line for each row, raw bytes included.

What lives here: writing and reading it, whole or line by line. It must not know how rows come about or are shown.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, TextIO

from rtlab.errors import UsageError
from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.transcript.rows import Kind, Row

__all__ = ["SECRETS", "VERSION", "dump_head", "dump_row", "load_row", "open_private", "read_rows", "write_rows"]

VERSION = 1
"""Of the file format, in its first line."""
SECRETS = "This file holds tokens, cookies and messages as they went over the wire. Do not pass it on as it is."
"""What the first line says to whoever is about to pass the file on."""


def write_rows(path: str | os.PathLike[str], rows: Iterable[Row], dropped: int) -> None:
    """Write a transcript: its rows, and how many rows before them were not kept."""
    with open_private(path) as file:
        file.write(dump_head(dropped))
        file.writelines(map(dump_row, rows))


def open_private(path: str | os.PathLike[str]) -> TextIO:
    """Open a file for writing that nobody but its owner can read: tokens and cookies are in what goes over a wire.

    On POSIX it gets the mode 0600 before anything is written, also where it was there and others could read it. Whoever
    has it open already goes on reading. On Windows it has the rights of its folder.

    Raises:
        OSError: it cannot be written; or it is somebody else's, so its rights cannot be narrowed.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not a pipe, not a terminal
            if sys.platform != "win32":
                os.fchmod(descriptor, 0o600)
            os.truncate(descriptor, 0)
        return os.fdopen(descriptor, "w", encoding="utf-8")
    except BaseException:
        os.close(descriptor)
        raise


def read_rows(path: str | os.PathLike[str]) -> tuple[list[Row], int]:
    """The rows in a file, and how many rows before them were not kept.

    Raises:
        UsageError: the file is no transcript; the message names the line.
    """
    try:
        first, *lines = Path(path).read_text(encoding="utf-8").splitlines()
        head = json.loads(first)
        version, dropped = head["transcript"], int(head["dropped"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no transcript: expected its first line to say so.") from None
    if version != VERSION:
        raise UsageError(f"{path} is a transcript of version {version}; this rtlab reads version {VERSION}.")
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            rows.append(load_row(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}, line {number}: expected a row, got {line[:60]!r} ({error}).") from None
    return rows, dropped


def dump_head(dropped: int) -> str:
    """The first line of a saved transcript."""
    return json.dumps({"transcript": VERSION, "dropped": dropped, "warning": SECRETS}) + "\n"


def dump_row(row: Row) -> str:
    """A row as one line of JSON. What has its default is left out."""
    values = {each.name: getattr(row, each.name) for each in fields(row)}
    kept = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    return json.dumps({name: _dump_value(value) for name, value in kept.items()}) + "\n"


_DEFAULTS = {each.name: None if each.default is MISSING else each.default for each in fields(Row)}


def _dump_value(value: object) -> object:
    if isinstance(value, tuple):
        return [_dump_packet(each) if isinstance(each, PacketSeen) else each for each in value]
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _dump_packet(packet: PacketSeen) -> dict[str, object]:
    return {name: value for name, value in asdict(packet).items() if value not in ("", None)}


def load_row(line: str) -> Row:
    """What `dump_row` has written.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it has not.
    """
    values: dict[str, Any] = json.loads(line)
    for name, value in values.items():
        if isinstance(value, dict):
            values[name] = base64.b64decode(value["base64"], validate=True)
    values["details"] = tuple(values.get("details", ()))
    values["packets"] = tuple(PacketSeen(**each) for each in values.get("packets", ()))
    return Row(**values | {"direction": Direction(values["direction"]), "kind": Kind(values["kind"])})
