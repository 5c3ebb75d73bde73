"""What the hostile tests measure of a server's memory, as one table at the end of a module; ``pytest -s`` shows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

__all__ = ["note", "table"]

_rows: list[tuple[str, ...]] = []


def note(what: str, before: float, most: float, after: float, more: str = "") -> None:
    """Note the resident memory of a server's process, in bytes, and what else there is to say."""
    _rows.append((what, *(f"{each / 2**20:.0f}" for each in (before, most, after)), more))


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """Prints the rows of a module after its last test."""
    yield
    if _rows:
        rows = [("attack", "before", "most", "after, MiB", ""), *_rows]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for what, *figures, more in rows:
            shown = "  ".join(figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
            print(f"\n{what:<{widths[0]}}  {shown}  {more}".rstrip(), end="")
        print()
        _rows.clear()
