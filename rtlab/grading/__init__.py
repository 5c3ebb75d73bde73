"""Grading: what a learner's file does is observed in a child process, and one sentence says what came of it.

It must not know any single exercise. The child imports this package too, so importing it loads nothing but what a
grader writes: `check` and `expect`.

A check, from the grader's text to its points:

1. `catalogue` reads the exercise and its checks (`checks`) without running them;
2. `exercise_run` takes one check after the other, and keeps what is known of the submission between them;
3. `launcher` keeps a process that has imported the grader (``child/fork_server.py``) and has it forked;
   `check_process` is the handle on the fork;
4. in there ``child/runner.py`` puts up the barriers, imports the submission, runs the check, whose `expect` observes,
   and ``child/judging.py`` makes a verdict of it;
5. `check_run` hears it over a socket (`messages`), watches deadline, memory and processes meanwhile, and ends
   everything in any case;
6. `report` adds points up, and `rendering` shows them: in a notebook, in a terminal, in pytest (`plugin`).

- Where is the deadline of a check? `checks.DEADLINE_S`, or ``@check(deadline_s=…)``; `ExerciseRun.run` stretches it, or
  cuts it where the submission has hung before; `CheckRun` holds the check to it.
- Why was a check failed? The sentence is made in `check_run` (limits, and what was left behind), `exercise_run` (what
  was not run) or ``child/judging.py``, which takes those of ``expectations``, ``loading`` and ``barriers`` beside it.
- What may a submission not import? ``FORBIDDEN`` of the grader, kept by ``child/barriers.py``. What may it not replace?
  What ``child/integrity.py`` watches.
- Where does what it prints go? Into a pipe (`printed`), which is drained all the time; the last lines are kept.
- Which check looks at which sentence of the README? ``DEMANDS`` of the grader, read by `catalogue`.
"""

from rtlab.grading.checks import check
from rtlab.grading.child.expectations import expect

__all__ = ["check", "expect"]
