"""From a learner's file to a module, with a sentence for each way in which that fails."""

import sys

import pytest

from rtlab.grading.child.loading import MissingNameError, UnreadableError, load_submission


@pytest.fixture
def load(tmp_path):
    """Loads a file with this content."""
    path, modules = list(sys.path), set(sys.modules)

    def load(content: bytes | None, name="loaded.py", reset="rtlab reset 00"):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        return load_submission(file, reset)

    yield load
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_its_names_can_be_read_and_set(load):
    submission = load(b"x = 1\ndef f():\n    return x\n")
    assert (submission.x, submission.f()) == (1, 1)
    submission.x = 2
    assert submission.f() == 2
    assert {"x", "f"} <= set(dir(submission))


def test_a_name_that_it_lacks(load):
    submission = load(b"def handel(): ...\n")
    with pytest.raises(MissingNameError, match="defines no `handle`, but it has `handel`"):
        _ = submission.handle
    with pytest.raises(MissingNameError, match=r"defines no `q`$"):
        _ = submission.q


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no loaded.py in .+; `rtlab reset 00` brings back the one to start from"),
        (b"", "loaded.py is empty; `rtlab reset 00` brings back"),
        (b" \n\t\n", "loaded.py is empty"),
        (b"x = 1\ny = '\xe9'\n", r"loaded.py is not UTF-8 text \(byte 0xe9 in line 2\); save it as UTF-8"),
        (b"def f(:\n    pass\n", r"loaded.py, line 1: .+: `def f\(:`"),
        (b"x = 1\0\n", "loaded.py"),
        (b"x = " + b"(" * 10_000 + b")" * 10_000, "loaded.py"),
    ],
)
def test_what_cannot_become_a_module(load, content, sentence):
    with pytest.raises(UnreadableError, match=sentence):
        load(content)


def test_without_a_command_to_bring_it_back_none_is_named(load):
    with pytest.raises(UnreadableError, match=r"there is no loaded\.py in [^;]+$"):
        load(None, reset="")


def test_a_folder_in_its_place(load, tmp_path):
    (tmp_path / "loaded.py").mkdir()
    with pytest.raises(UnreadableError, match="is a folder; a file is expected"):
        load(None)


def test_what_is_not_python_is_only_looked_at(load, tmp_path):
    assert load(b"worker_processes 1;", "nginx.conf") == tmp_path / "nginx.conf"


def test_it_may_be_split_and_shadows_nothing(load, tmp_path):
    (tmp_path / "beside_it.py").write_text("y = 3\n")
    (tmp_path / "json.py").write_text("raise RuntimeError\n")
    assert load(b"import json\nfrom beside_it import y\n").y == 3


def test_whatever_it_raises_comes_out_and_no_bytecode_is_left(load, tmp_path):
    with pytest.raises(ZeroDivisionError):
        load(b"1 / 0\n")
    assert not (tmp_path / "__pycache__").exists()
