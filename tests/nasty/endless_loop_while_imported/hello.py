r"""Costs: still running after \d.*s while it is imported, in hello\.py, line \d+ \(`while True:`\)"""

while True:
    pass
