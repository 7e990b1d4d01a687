"""``python -m bnstudy.tf1 SCRIPT.py [ARGUMENTS]``: run a program of TensorFlow 1's time, unchanged."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bnstudy.tf1 import alias, emulate
from bnstudy.tf1.versions import VERSIONS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script that the arguments name; return 0, or 2 if there is no such file."""
    parser = argparse.ArgumentParser(prog="python -m bnstudy.tf1", description=__doc__)
    parser.add_argument("--emulate", choices=sorted(VERSIONS), help="the version of TensorFlow that is meant")
    parser.add_argument("script", type=Path, help="a file that imports tensorflow")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the script gets")
    options = parser.parse_args(arguments)
    if not options.script.is_file():
        print(f"script is {str(options.script)!r}: there is no such file", file=sys.stderr)
        return 2
    kept = sys.argv, list(sys.path)
    alias.install()
    try:
        with ExitStack() as stack:
            if options.emulate:
                stack.enter_context(emulate(options.emulate))
            sys.argv = [str(options.script), *options.arguments]
            sys.path.insert(0, str(options.script.resolve().parent))
            runpy.run_path(str(options.script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = kept
        alias.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
