"""Floor 4: what runs on more than one process."""
