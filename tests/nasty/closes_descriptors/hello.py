r"""Costs: your code closed a file descriptor that is not its own"""

import os
import time

os.closerange(3, 256)
time.sleep(60)
