r"""Costs: still running after [\d.]+ s while it is imported, in hello.py, line \d+ \(`print"""

while True:
    print("x" * 1000)
