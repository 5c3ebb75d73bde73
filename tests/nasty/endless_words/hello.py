r"""Costs: still running after [\d.]+ s, in hello\.py, line \d+ \(`while True:`\)"""


class Endless(Exception):  # noqa: N818
    def __str__(self):
        while True:
            pass


async def greet(connection):
    raise Endless
