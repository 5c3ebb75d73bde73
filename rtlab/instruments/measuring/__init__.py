"""Measurements: `bench.py` compares echo servers, `tap_cost.py` measures what a tap adds."""
