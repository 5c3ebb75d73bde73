r"""Costs: your code crashed \(signal SIGSEGV\)"""

import os
import signal


async def greet(connection):
    os.kill(os.getpid(), signal.SIGSEGV)
