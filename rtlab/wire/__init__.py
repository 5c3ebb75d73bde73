"""Floor 0: protocols as pure functions; no I/O, no clock."""
