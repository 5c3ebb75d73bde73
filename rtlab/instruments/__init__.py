"""Floor 5: what looks at a running system and reports."""
