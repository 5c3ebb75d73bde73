"""``python -m rtlab`` is the command ``rtlab``."""

from rtlab.cli import main

if __name__ == "__main__":
    main()
