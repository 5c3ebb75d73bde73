"""A copy of the course's first exercise, as it is at the start, for tests that write into it.

One exercise only: these tests are about grading, and more exercises would make each of them slower.
"""

import shutil

EXERCISE = "00_hello"


def copy_course(root, target):
    """Copy exercise and solution below `root` to `target`, the learner's file as its stub. Gives `target`."""
    for name in ("exercises", "solutions"):
        shutil.copytree(root / name / EXERCISE, target / name / EXERCISE)
    (target / "notebooks").mkdir()
    for stub in target.glob("exercises/*/.stub/*"):
        shutil.copyfile(stub, stub.parent.parent / stub.name)
    return target
