r"""Costs: your code had more than \d+ processes running at once"""

import subprocess
import sys
import time

MOST = 50  # so that a grader that does not notice does not end the machine


async def greet(connection):
    for _ in range(MOST):
        subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
    time.sleep(60)
