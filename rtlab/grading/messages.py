"""What the process of a check and the one that waits for it say to each other.

What lives here: one frozen value for each kind of message, and their form on the socket: one JSON object a line. The
socket is no secret of ours (it is a descriptor in the process in which the submission runs), so whatever comes out of
it is either one of these values, behind the token of this check, or `NotUnderstoodError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from rtlab.grading.results import Verdict

__all__ = [
    "LONGEST",
    "Began",
    "Imported",
    "Late",
    "Message",
    "NotUnderstoodError",
    "Order",
    "Spoken",
    "Unmet",
    "decode",
    "encode",
    "one_line",
    "printable",
]


class NotUnderstoodError(Exception):
    """What came is no message. Never leaves rtlab.grading."""


@dataclass(frozen=True)
class Order:
    """To the process of a check: what to do."""

    check: str
    """The function's name."""
    submission: str
    """The file, absolute."""
    solutions: str
    """The folder that the submission may not open; empty if it may."""
    forbidden: Mapping[str, str]
    """Modules that the submission may not import, and what to use instead."""
    reset: str
    """The command that brings back the file to start from, for messages; empty if there is none."""
    trace: str
    """The file, in the directory, into which faulthandler writes when the process does not answer."""
    token: str = ""
    """What each line of its answer begins with. Whoever merely finds the socket does not know it."""
    directory: str = ""
    """Its working directory. Filled in by the launcher."""


@dataclass(frozen=True)
class Began:
    """All is prepared, now comes the submission. The deadline counts from here."""


@dataclass(frozen=True)
class Imported:
    """The submission has been imported."""


@dataclass(frozen=True)
class Unmet:
    """An expectation was not met. Kept for a check that never ends."""

    sentence: str


@dataclass(frozen=True)
class Late:
    """Asked by a signal at the deadline: this is where the check is."""

    where: str


@dataclass(frozen=True)
class Spoken:
    """What came of it. Then the process waits, so that sockets and processes can be looked for, and is ended."""

    verdict: Verdict
    message: str
    phase: str
    """ "import", "check" or "grader": which of them it is about."""
    left: str
    """What was left running in the process, in words."""


Message = Order | Began | Imported | Unmet | Late | Spoken
WORDS: dict[str, type[Message]] = {
    "order": Order, "begin": Began, "imported": Imported, "unmet": Unmet, "late": Late, "verdict": Spoken,
}  # fmt: skip
"""What each is called on the socket."""
NAMES = {kind: word for word, kind in WORDS.items()}
SHOWN = "\n\t\u200d"
"""What is shown besides what Python calls printable: families of emoji are made with the last."""
LONGEST = 10_000
"""Characters of a text in a message. The sentences that we make ourselves have some hundred."""
PHASES = frozenset({"import", "check", "grader"})


def encode(message: Message, token: str = "") -> bytes:
    """A message as a line. What a learner's exception says may be long, or hold half a character or a terminal's
    commands: it is cut, and such characters are spelled out."""
    content = asdict(message)
    if not isinstance(message, Order):  # a path may hold bytes that are no text, and has to stay as it is
        content = {name: printable(value) for name, value in content.items()}
    return token.encode() + json.dumps({"say": NAMES[type(message)], **content}).encode() + b"\n"


def decode(line: bytes, token: str = "") -> Message:
    """What a line says that begins with the token.

    Raises:
        NotUnderstoodError: it is no message of ours.
    """
    try:
        if not line.startswith(token.encode()):
            raise ValueError("expected the token")
        said = json.loads(line[len(token) :])
        kind = WORDS[said.pop("say")]
        _check(said, kind)
        if kind is not Order:
            said = {name: printable(value) for name, value in said.items()}
        if kind is Spoken:
            said["verdict"] = Verdict(said["verdict"])
        return kind(**said)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotUnderstoodError(f"expected a message, got {line[:60]!r}: {error}") from None


def printable(text: str) -> str:
    """A text that a terminal shows and does not obey, of a length that somebody reads."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}…"
    return "".join(
        each if each.isprintable() or each in SHOWN else each.encode("unicode_escape").decode() for each in text
    )


def one_line(text: str) -> str:
    """A text of somebody else's, such as the name of a folder, in a sentence or a table.

    What would end the line is spelled out, and so is what a terminal would obey, and half a character, which no file
    takes.
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _check(said: dict[str, object], kind: type[Message]) -> None:
    """Raises ValueError unless every field is there and is text that can be shown, or a table of such texts."""
    if said.keys() != {field.name for field in fields(kind)}:
        raise ValueError(f"expected the fields of {kind.__name__}")
    for name, value in said.items():
        texts = [*value, *value.values()] if name == "forbidden" and isinstance(value, dict) else [value]
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"expected {name} as text")
            if kind is not Order:
                text.encode()  # half a character is valid JSON, and cannot be printed
    if kind is Spoken and said["phase"] not in PHASES:
        raise ValueError("expected a phase")
