"""Costs: x"""

name = "café"
