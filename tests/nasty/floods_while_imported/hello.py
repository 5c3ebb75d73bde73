r"""Costs: your code printed more than \d+ .iB"""

while True:
    print("x" * 1000)
