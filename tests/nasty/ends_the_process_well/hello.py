r"""Costs: your code ended the process \(exit status 0\)"""

import os

os._exit(0)
