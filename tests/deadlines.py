"""The one scale of every deadline in the tests: a slow machine sets RTLAB_TIME_SCALE=3 and all of them stretch."""

from rtlab.grading.results import time_scale

SCALE = time_scale()
WAIT_S = 40 * SCALE
"""How long a test waits for an event that always comes. A test that reaches it has failed, so it costs nothing: it is
long enough for a kernel to start on a machine with twenty others at work."""
