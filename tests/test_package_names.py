"""The names of the package: each is there, and a misspelt one gets the right one."""

import subprocess
import sys

import pytest

import rtlab


@pytest.mark.parametrize("name", rtlab.__all__)
def test_each_public_name_is_there(name):
    assert getattr(rtlab, name) is not None


@pytest.mark.parametrize(("wrong", "right"), [("tapp", "tap"), ("sart", "start"), ("server", "Server"), ("URL", None)])
def test_a_misspelt_name(wrong, right):
    said = f"Did you mean .*'{right}'" if right else "There are: ChildError, .*tap"
    with pytest.raises(rtlab.UsageError, match=rf"The package rtlab has no attribute '{wrong}'. {said}"):
        getattr(rtlab, wrong)
    assert not hasattr(rtlab, wrong)


def test_a_misspelt_import():
    with pytest.raises(ImportError, match=r"The package rtlab has no attribute 'tapp'. Did you mean 'tap'") as caught:
        from rtlab import tapp  # noqa: F401
    assert caught.value.name == "rtlab"


def test_modules_can_still_be_imported():
    script = "from rtlab import cli, errors, servers, chat; from rtlab import *; import rtlab; rtlab.realtime.Server"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


@pytest.mark.parametrize(
    ("code", "said"),
    [("import rtlab; rtlab.tapp", "AttributeError|MissingAttributeError"), ("from rtlab import tapp", "ImportError")],
)
def test_python_does_not_ask_a_second_time(code, said):
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stderr
    assert found.lower().count("did you mean") == 1, found
