"""A copy of the course for tests that write into it: the exercises as they are at the start."""

import shutil


def copy_course(root, target):
    """Copy exercises and solutions below `root` to `target`, each learner's file as its stub. Gives `target`."""
    for name in ("exercises", "solutions"):
        shutil.copytree(root / name, target / name)
    (target / "notebooks").mkdir()
    for stub in target.glob("exercises/*/.stub/*"):
        shutil.copyfile(stub, stub.parent.parent / stub.name)
    return target
