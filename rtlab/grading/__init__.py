"""Grading: what a learner's file does is observed in a child process, and one sentence says what came of it.

What lives here: how graders are written (`check`, `expect`), how they are run (`engine`, `runner`), and how the
result is shown (`report`, `plugin`). It must not know any single exercise.

The child imports this package too, so importing it loads nothing but what a grader writes.
"""

from rtlab.grading.checks import check
from rtlab.grading.expectations import expect

__all__ = ["check", "expect"]
