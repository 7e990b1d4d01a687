"""``bnstudy doctor CHECKPOINT``: what a file shows, without the model's code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bnstudy.doctor.checkpoint import CheckpointError
from bnstudy.doctor.registry import check_ignored, codes
from bnstudy.doctor.scanning import scan

EXIT_CODES = """\
exit codes:
  0  no error and no warning
  1  an error or a warning
  2  the file can't be read, or the command line is not understood
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Scan the file that ``arguments`` (default: the command line's) name; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="bnstudy doctor",
        description="What is wrong with the batch norm in a checkpoint? Reads it without executing "
        "anything in it.",
        epilog=EXIT_CODES
        + "\ncodes:\n"
        + "".join(f"  {code:20} {about}\n" for code, about in codes().items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="a file of torch.save, or .safetensors; of a set its folder")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="CODE", help="a code, or CODE:LAYER; repeatable"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--sarif", action="store_true", help="print SARIF 2.1.0")
    options = parser.parse_args(arguments)
    try:
        report = scan(options.checkpoint, ignore=check_ignored(options.ignore))
    except (CheckpointError, ValueError) as error:
        print(f"bnstudy doctor: {error}", file=sys.stderr)
        return 2
    print(report.to_json() if options.json else report.to_sarif() if options.sarif else report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
