"""Small changes of a configuration file of nginx, one at a time.

What lives here: `config_mutants`, the counterpart of `mutants.mutants` for a file that is not Python (a directive less,
a parameter less, a number one up and one down), and `mutants_of`, which chooses between the two.
"""

import re
from pathlib import Path

from mutants import Mutant, mutants

__all__ = ["config_mutants", "mutants_of"]

SIMPLE = re.compile(r"[^\s#{}][^{}]*;\Z")
"""A directive of one line."""


def mutants_of(file: Path) -> list[Mutant]:
    """All mutants of a solution, in the order of its lines."""
    source = file.read_text(encoding="utf-8")
    return mutants(source) if file.suffix == ".py" else config_mutants(source)


def config_mutants(source: str) -> list[Mutant]:
    """All mutants of a configuration with one directive a line, in the order of its lines.

    Args:
        source: its text. Comments go.
    """
    lines = [" ".join(re.sub(r"^\s*#.*", "", line).split()) for line in source.splitlines()]
    found: dict[str, Mutant] = {}
    for at, line in enumerate(lines):
        for other in _variants(line):
            changed = [*lines[:at], other, *lines[at + 1 :]]
            name, again = f"{line} -> {other or 'nothing'}", 1
            while name in found:
                again += 1
                name = f"{line} -> {other or 'nothing'} (place {again})"
            found[name] = Mutant(name, at + 1, "\n".join(changed) + "\n")
    return list(found.values())


def _variants(line: str) -> list[str]:
    if not SIMPLE.match(line):
        return []
    parts = line.removesuffix(";").split()
    fewer = [[*parts[:at], *parts[at + 1 :]] for at in range(2, len(parts))]
    numbers = [
        [*parts[:at], re.sub(r"\d+(?!.*\d)", lambda digits, by=by: str(int(digits[0]) + by), part), *parts[at + 1 :]]
        for at, part in enumerate(parts)
        if re.search(r"\d", part)
        for by in (1, -1)
    ]
    return ["", *(" ".join(each) + ";" for each in [*fewer, *numbers])]
