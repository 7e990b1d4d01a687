"""``python -m bnstudy``: the command line, where its script is not on the path."""

import sys

from bnstudy.cli import main

if __name__ == "__main__":  # workers that are spawned import this module again
    sys.exit(main())
