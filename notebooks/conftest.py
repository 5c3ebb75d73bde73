"""What `pytest --nbval notebooks` needs to know, so that nobody has to type it."""

from pathlib import Path

SANITIZERS = Path(__file__).parent.parent / "tests" / "nbval_sanitize.cfg"
"""What differs from run to run in the outputs: ports, addresses."""
CELL_TIMEOUT_S = 60.0
"""Seconds that a cell may take."""
NBVAL_DEFAULT_S = 2000.0
"""Seconds that nbval waits unless told."""


def pytest_configure(config):
    """Set the options of nbval that were not given."""
    if not config.pluginmanager.hasplugin("nbval"):
        return
    if config.option.nbval_sanitize_with is None:
        config.option.nbval_sanitize_with = str(SANITIZERS)
    if config.option.nbval_cell_timeout == NBVAL_DEFAULT_S:
        config.option.nbval_cell_timeout = CELL_TIMEOUT_S
