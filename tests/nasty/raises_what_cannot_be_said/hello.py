r"""Costs: Your code raised Rude \(hello\.py, line \d+\)"""


class Rude(Exception):  # noqa: N818
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __str__


async def greet(connection):
    raise Rude
