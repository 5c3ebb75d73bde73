"""How far the learner has come.

What lives here: ``.rtlab/progress.json`` in the course's folder, which holds the last verdicts on the learner's own
files and the hints that were shown. It is a convenience: a file that is broken is set aside, never an error.

The file is replaced as a whole, under a lock, so that two runs at the same time lose nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rtlab.grading.catalogue import Exercise
from rtlab.grading.results import CheckResult, Verdict

__all__ = ["Progress", "Record"]


@dataclass
class Record:
    """What is known of one exercise."""

    fingerprint: str = ""
    """Of the learner's file when it was graded: SHA-256, hexadecimal."""
    checks: dict[str, str] = field(default_factory=dict)
    """The verdict of each check that was run on that file."""
    hints: dict[str, int] = field(default_factory=dict)
    """How many hints of each check were shown."""


class Progress:
    """The record of a course's folder.

    Args:
        root: the course's folder.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / ".rtlab" / "progress.json"

    def of(self, exercise: Exercise) -> Record:
        """What is known of an exercise. Verdicts on an older state of the file or the grader are not among it."""
        record = self._read().get(exercise.id, Record())
        names = {check.name for check in exercise.checks}
        if record.fingerprint != _fingerprint(exercise):
            return Record(hints=record.hints)
        record.checks = {name: verdict for name, verdict in record.checks.items() if name in names}
        return record

    def graded(self, exercise: Exercise, results: Mapping[str, CheckResult] | list[CheckResult]) -> None:
        """Write down what came of checks on the learner's own file."""
        checks = results.values() if isinstance(results, Mapping) else results
        with self._changing() as records:
            record = records.setdefault(exercise.id, Record())
            fingerprint = _fingerprint(exercise)
            if record.fingerprint != fingerprint:
                record.fingerprint, record.checks = fingerprint, {}
            record.checks.update({check.name: str(check.verdict) for check in checks})

    def hinted(self, exercise: Exercise, check: str, shown: int) -> None:
        """Write down that so many hints of a check were shown."""
        with self._changing() as records:
            records.setdefault(exercise.id, Record()).hints[check] = shown

    def forget(self, exercise: Exercise) -> None:
        """Begin anew."""
        with self._changing() as records:
            records.pop(exercise.id, None)

    def points(self, exercise: Exercise) -> int | None:
        """The points of the file as it is now; None if it was not graded, or not in full."""
        record = self.of(exercise)
        if any(check.name not in record.checks for check in exercise.checks):
            return None
        return sum(check.points for check in exercise.checks if record.checks[check.name] == Verdict.PASSED)

    def _read(self) -> dict[str, Record]:
        try:
            content = json.loads(self._file.read_bytes())
            return {str(name): _checked(record) for name, record in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, LookupError):
            with contextlib.suppress(OSError):
                self._file.replace(self._file.with_name("progress.broken.json"))
            return {}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Record]]:
        """The records, to be changed; written back at the end. A folder that cannot be written to is left alone."""
        try:
            self._file.parent.mkdir(exist_ok=True)
            lock = (self._file.parent / "lock").open("w")
        except OSError:
            yield {}
            return
        with lock:
            with contextlib.suppress(ImportError):  # Windows; grading does not run there
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX)
            records = self._read()
            yield records
            self._write(records)

    def _write(self, records: dict[str, Record]) -> None:
        text = json.dumps({name: asdict(record) for name, record in sorted(records.items())}, indent=1)
        with contextlib.suppress(OSError):
            descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix="progress-")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text + "\n")
                Path(name).replace(self._file)
            except OSError:
                Path(name).unlink()


def _fingerprint(exercise: Exercise) -> str:
    try:
        return hashlib.sha256(exercise.submission().read_bytes()).hexdigest()
    except OSError:
        return "none"


def _checked(record: dict[str, object]) -> Record:
    """A record from JSON.

    Raises:
        TypeError, ValueError, LookupError: it is none.
    """
    checks, hints = record["checks"], record["hints"]
    if not isinstance(checks, dict) or not isinstance(hints, dict):
        raise TypeError("checks and hints are objects")
    return Record(
        str(record["fingerprint"]),
        {str(name): str(Verdict(verdict)) for name, verdict in checks.items()},
        {str(name): int(count) for name, count in hints.items()},
    )
