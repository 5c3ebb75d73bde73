"""Folders of submissions: what a folder of another shape is answered with."""

import pytest

from rtlab.errors import UsageError
from rtlab.grading.report import grade, grade_class
from rtlab.grading.submissions import check_shape, students_in, submissions_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Makes files in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def make(*files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("files", "given", "sentence"),
    [
        (["mine/00_hello/hello.py"], "mine/00_hello", "mine/00_hello is one level too deep. Pass the folder above it"),
        (["mine/hello.py"], "mine", "hello.py lies in mine itself: expected 00_hello/hello.py in it. Make a folder"),
        (["mine/a/00_hello/hello.py"], "mine", "mine is one level too high. Pass mine/a, or"),
        (["mine/0_hello/hello.py"], "mine", "No 00_hello/hello.py in mine. It holds 0_hello: rename it to 00_hello?"),
        (["mine/hello/hello.py"], "mine", "It holds hello: rename it to 00_hello?"),
        (["mine/.hidden/x"], "mine", "No 00_hello/hello.py in mine, which holds no folders."),
        (["mine/other/x"], "mine", "in mine, which holds other. Pass a folder that has"),
        (["mine/05_orders/x"], "mine", "in mine, which holds 05_orders. Pass a folder that has"),
    ],
)  # fmt: skip
def test_a_folder_of_another_shape(course, folder, files, given, sentence):
    root = folder(*files)
    with pytest.raises(UsageError) as caught:
        check_shape(root / given, course.select(("00",)))
    assert sentence in str(caught.value)


def test_an_empty_folder(course, folder):
    with pytest.raises(UsageError, match="which is empty"):
        check_shape(folder(), course.select(("00",)))


def test_a_folder_with_one_of_the_exercises_is_taken(course, folder):
    check_shape(folder("03_echo/echo.py"), course.exercises)


def test_a_file_is_no_folder(folder):
    folder("mine/00_hello/hello.py", "hello.py")
    with pytest.raises(UsageError, match=r"hello\.py is a file. Pass the folder two levels above it: mine,"):
        submissions_folder("mine/00_hello/hello.py")
    with pytest.raises(UsageError, match=r"hello.py is a file. Pass a folder, which"):
        submissions_folder("hello.py")


def test_one_students_folder_is_no_class(folder):
    folder("class/ann/00_hello/hello.py")
    with pytest.raises(UsageError, match=r"class/ann holds the exercises of one student.*Pass class, or"):
        students_in("class/ann")
    assert [each.name for each in students_in("class")] == ["ann"]


def test_a_notebook_is_told_too(course, folder):
    root = folder("mine/00_hello/hello.py")
    with pytest.raises(UsageError, match="one level too deep"):
        grade("00", submission=root / "mine" / "00_hello", root=course.root)


def test_a_student_without_a_file_is_missing_and_no_error(course, folder):
    root = folder("class/ann/notes.txt")
    report = grade_class(course, course.select(("00",)), [root / "class" / "ann"])
    assert report.rows()[1] == ["ann", "missing", "0", "5"]
