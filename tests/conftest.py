"""What every test stands on: nothing may be left behind."""
