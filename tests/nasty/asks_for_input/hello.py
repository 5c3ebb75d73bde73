r"""Costs: your code asks for input\(\), and nobody types while it is graded \(hello\.py, line \d+\)"""

name = input("Your name? ")
