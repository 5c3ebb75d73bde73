r"""Costs: your code ended the process with sys\.exit\(0\) \(hello\.py, line \d+\)"""

import sys

sys.exit(0)
