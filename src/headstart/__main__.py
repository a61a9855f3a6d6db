"""``python -m headstart``, which torchrun needs."""

import sys

from headstart.cli import main

if __name__ == "__main__":
    sys.exit(main())
