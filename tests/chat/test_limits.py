"""Limits are positive numbers."""

import pytest

from rtlab.chat.limits import Limits
from rtlab.errors import UsageError


@pytest.mark.parametrize("value", [0, -1, True, "many", float("nan")])
def test_a_limit_that_is_none(value):
    with pytest.raises(UsageError, match="Limits\\(rooms="):
        Limits(rooms=value)
