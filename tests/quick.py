"""What `make test` tries of a long list, and what it leaves to `make test-long`.

What lives here: `quick`, for ``pytest.mark.parametrize``, and `code_points`, a sample of Unicode. It must not know a
test.
"""

import itertools
import sys

import pytest

__all__ = ["code_points", "quick"]

STRIDE = 257
"""Of the code points that nobody has named, every so many: a prime, so that no column of a table is always missed."""
FIRST = 0x0600
"""Those before it are all in the sample: letters, marks and controls of European scripts, where most rules begin."""


def quick(values, names):
    """Every value as a parameter, or a tuple as several; those that are not named carry the mark ``long``.

    A list in which a name is missing is a mistake: nothing would be quick, and nobody would see it.
    """
    values, names = list(values), set(names)
    assert names <= set(values), names - set(values)
    marks = {True: (), False: pytest.mark.long}
    return [
        pytest.param(*each, marks=marks[each in names])
        if isinstance(each, tuple)
        else pytest.param(each, marks=marks[each in names])
        for each in values
    ]


def code_points(everything, borders=()):
    """All code points, or a sample: the first ones, every `STRIDE`-th, and those around each border of these ranges."""
    if everything:
        return range(sys.maxunicode + 1)
    near = {code + step for code in itertools.chain.from_iterable(borders) for step in (-1, 0, 1)}
    sample = {*range(FIRST), *range(0, sys.maxunicode + 1, STRIDE), *near}
    return sorted(code for code in sample if 0 <= code <= sys.maxunicode)
