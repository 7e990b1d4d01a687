"""The command line: fetch and check data, run an experiment, see what is recorded."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bnstudy import __version__
from bnstudy.data import DataError, data_folder, dataset_names, fetch_cifar10, load_dataset
from bnstudy.spec import SpecError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after one clear line on standard error, or 130 after Ctrl-C."""
    from bnstudy.study.store import RecordError

    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (SpecError, DataError, RecordError, ValueError) as error:
        print(f"bnstudy: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bnstudy: interrupted; every finished run is recorded", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bnstudy", description="Batch normalization, measured.")
    parser.add_argument("--version", action="version", version=f"bnstudy {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="fetch and check data sets")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download CIFAR-10, check it, write cifar10.npz")
    fetch.add_argument("name", choices=["cifar10"])
    fetch.set_defaults(command=_fetch)
    check = actions.add_parser("check", help="load a data set and check its content")
    check.add_argument("name", choices=dataset_names())
    check.set_defaults(command=_check)
    for action in (fetch, check):
        action.add_argument("--root", help=f"folder of cifar10.npz (default: {data_folder()})")

    run = commands.add_parser(
        "run",
        help="train the runs of an experiment that are not recorded",
        epilog="example: bnstudy run decay --set dataset=digits --set epochs=3 --data-dir scratch",
    )
    run.set_defaults(command=_run)
    status = commands.add_parser("status", help="say how many runs of an experiment are recorded")
    status.set_defaults(command=_status)
    for command in (run, status):
        command.add_argument("experiment", help="decay")
        command.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the experiment"
        )
        command.add_argument(
            "--data-dir", default="", help="folder of the records (default: the repository's data)"
        )
    run.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    return parser


def _fetch(options: argparse.Namespace) -> int:
    fetch_cifar10(options.root)
    return 0


def _check(options: argparse.Namespace) -> int:
    dataset = load_dataset(options.name, options.root)
    print(f"{options.name}: {len(dataset.x_train)} training and {len(dataset.x_test)} test images, intact")
    return 0


def _run(options: argparse.Namespace) -> int:
    from bnstudy.study import run_study

    frames = run_study(
        options.experiment, _settings(options), device=options.device, data_dir=options.data_dir
    )
    print(f"{options.experiment}: {len(frames.runs)} runs recorded")
    return 0


def _status(options: argparse.Namespace) -> int:
    from bnstudy.study.experiment import count_runs

    needed, missing = count_runs(options.experiment, options.data_dir, **_settings(options))
    print(f"{options.experiment}: {needed} runs needed, {missing} missing")
    return 0


def _settings(options: argparse.Namespace) -> dict[str, str]:
    settings = {}
    for item in options.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise SpecError(f"--set is {item!r}; allowed: NAME=VALUE, as in --set epochs=3")
        settings[name] = value
    return settings


if __name__ == "__main__":
    sys.exit(main())
