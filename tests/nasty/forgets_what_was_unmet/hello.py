"""Costs: expected the answer to 'Ada' to be 'Hello, Ada!'; got 'Hello'"""

import rtlab.grading.child.judging
from rtlab.grading import expect


class Forgets(AssertionError):
    def __init__(self, sentence):
        expect.observations.unmet.clear()


rtlab.grading.child.expectations.UnmetError = Forgets


async def greet(connection):
    async for _ in connection:
        await connection.send("Hello")
