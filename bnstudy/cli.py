"""The command line: run experiments, see what is recorded, verify it, and get the data."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from bnstudy import __version__
from bnstudy.chapters import EXPERIMENTS, ask_command, plan_of, run_study
from bnstudy.records.compress import compress
from bnstudy.records.package import DESCRIPTOR, INDEX, describe, is_current
from bnstudy.records.spec import SpecError
from bnstudy.records.store import RecordError, Store
from bnstudy.study.estimate import in_words
from bnstudy.study.openmp import spin_briefly
from bnstudy.study.plan import Study
from bnstudy.study.run import NotRecordedError, StudyError, default_data_dir
from bnstudy.study.status import Status, status
from bnstudy.train.data import DataError, data_folder, dataset_names, fetch_cifar10, load_dataset

EXIT_CODES = """\
exit codes:
  0    done; all is recorded and sound
  1    an error, in one line on standard error; nothing recorded was touched
  2    the command line is not understood
  3    runs failed; every other one is recorded
  4    records are missing, damaged or in use, or a run trained again does not match its record
  130  interrupted; every run that ended is recorded
"""
# Where a study runs, which is no parameter of it.
_OPTIONS = {"device": "--device", "data_dir": "--data-dir", "progress": "--quiet"}
ALL = "all"  # every experiment, one after the other
FAILED, INCOMPLETE, INTERRUPTED = 3, 4, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; ``bnstudy --help`` lists them."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    spin_briefly()
    try:
        if arguments[:1] == ["bench"]:
            # Its options need torch, which no other help text should wait for.
            from bnstudy.bench import command

            return command.main(arguments[1:])
        if arguments[:1] == ["doctor"]:
            from bnstudy.doctor import command as doctor

            return doctor.main(arguments[1:])
        if arguments[:1] == ["simulate"]:
            from bnstudy.analysis.simulate import command as simulate
            from bnstudy.chapters.judged import claims

            return simulate.main(arguments[1:], list(claims().values()), default_data_dir())
        options = _parser().parse_args(arguments)
        return int(options.command(options))
    except StudyError as error:
        print(f"bnstudy: {error}", file=sys.stderr)
        return FAILED
    except (SpecError, DataError, RecordError, NotRecordedError, ValueError) as error:
        print(f"bnstudy: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bnstudy: interrupted; every run that ended is recorded", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bnstudy",
        description="Batch normalization, measured.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bnstudy {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_status(commands)
    _add_ask(commands)
    _add_verify(commands)
    _add_describe(commands)
    _add_compress(commands)
    _add_data(commands)
    commands.add_parser("bench", help="measure what a run costs on this machine, in ratios")
    commands.add_parser("simulate", help="judge studies of known truth: how often the book errs")
    _add_freeze(commands)
    commands.add_parser("doctor", help="say what is wrong with the batch norm in a checkpoint")
    return parser


def _add(commands: Any, name: str, description: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description.splitlines()[0],
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_run(commands: Any) -> None:
    run = _add(
        commands,
        "run",
        "train the runs of an experiment that are not recorded\n\n"
        "Each run is recorded as it ends. Ctrl-C stops after the run in flight; the same command goes on\n"
        "from there.",
        "  bnstudy run decay\n"
        "  bnstudy run decay --set dataset=digits --set epochs=3 --data-dir scratch\n"
        "  bnstudy run decay --set 'decays=[0.9, 0.97]' --workers 2\n"
        "  bnstudy run decay --scheduler tcp://127.0.0.1:8786\n"
        "  bnstudy run all --workers 2 --data-dir again",
    )
    run.set_defaults(command=_run)
    run.add_argument("experiment", help=f"{', '.join(EXPERIMENTS)}, or {ALL}")
    where = run.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="train in N processes, which share the cores")
    where.add_argument("--scheduler", metavar="ADDRESS", help="train on a Dask cluster, tcp://HOST:PORT")
    _add_device(run)
    run.add_argument("--quiet", action="store_true", help="no progress bars")
    _add_settings(run)
    _add_output(run)


def _add_status(commands: Any) -> None:
    look = _add(
        commands,
        "status",
        "say what is recorded, missing, stale or damaged\n\n"
        "A stale record was made by other source code than today's; it is used all the same.",
        "  bnstudy status\n  bnstudy status decay --set seeds=10 --json",
    )
    look.set_defaults(command=_status)
    look.add_argument("experiment", nargs="?", default=ALL, help=f"{', '.join(EXPERIMENTS)} (default: {ALL})")
    _add_settings(look)
    _add_output(look)


def _add_ask(commands: Any) -> None:
    ask = _add(
        commands,
        "ask",
        "ask recorded networks what was never measured, without training\n\n"
        "Networks whose snapshots are recorded are evaluated with any decay, test batch size or statistics.",
        ask_command.EXAMPLES,
    )
    ask.set_defaults(command=_ask, scheduler=None)
    ask.add_argument("experiment", help="a study with snapshots, such as core")
    ask_command.add_arguments(ask)
    ask.add_argument(
        "--workers", type=int, metavar="N", help="evaluate in N processes, which share the cores"
    )
    _add_device(ask)
    _add_settings(ask)
    _add_output(ask)


def _add_verify(commands: Any) -> None:
    verify = _add(
        commands,
        "verify",
        "check every record, and train some of them again\n\n"
        "A run trained again by the same code on the same machine must equal its record, bit for bit.",
        "  bnstudy verify\n  bnstudy verify decay --rerun 3 --seed 1",
    )
    verify.set_defaults(command=_verify)
    verify.add_argument("experiment", nargs="?", help=f"{', '.join(EXPERIMENTS)} (default: every record)")
    verify.add_argument("--rerun", type=int, default=0, metavar="N", help="train N random runs again")
    verify.add_argument(
        "--begin",
        type=int,
        default=0,
        metavar="N",
        help="train the first steps of N random runs again; on another device, or with another PyTorch, mean "
        "loss and accuracy over them have to be within a tolerance",
    )
    verify.add_argument(
        "--accept",
        action="store_true",
        help="draw them from the stale records; if all come out the same, bit for bit, at least two of a "
        "source and kind of run, its records are stale no longer (data/sources.json tells)",
    )
    verify.add_argument(
        "--carry-over",
        action="store_true",
        help="train stale records again, five of each source whole and the first steps of all others; those "
        "of a source and kind of run that come out the same, bit for bit, are stale no longer. Goes on "
        "where it was stopped",
    )
    verify.add_argument("--seed", type=int, help="seed of the choice of runs")
    _add_device(verify)
    _add_output(verify)


def _add_describe(commands: Any) -> None:
    describe = _add(
        commands,
        "describe",
        "write runs.csv and datapackage.json again\n\n"
        "They index and describe the records for other tools; `bnstudy run` writes them by itself.",
        "  bnstudy describe",
    )
    describe.set_defaults(command=_describe)
    describe.add_argument("--data-dir", default="", help="folder of the records (default: data/)")


def _add_compress(commands: Any) -> None:
    pack = _add(
        commands,
        "compress",
        "rewrite records of earlier versions with compressed tables\n\n"
        "They keep content and checksums, and take a third of the room; damaged ones are named and left.\n"
        "It may be stopped at any moment and goes on from there. New records need none of it.",
        "  bnstudy compress\n  bnstudy compress --data-dir scratch --json",
    )
    pack.set_defaults(command=_compress)
    _add_output(pack)


def _add_data(commands: Any) -> None:
    data = _add(
        commands,
        "data",
        "fetch and check data sets",
        "  bnstudy data fetch cifar10\n  bnstudy data check digits",
    )
    actions = data.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download CIFAR-10, check it, write cifar10.npz")
    fetch.add_argument("name", choices=["cifar10"])
    fetch.set_defaults(command=_fetch)
    check = actions.add_parser("check", help="load a data set and check its content")
    check.add_argument("name", choices=dataset_names())
    check.set_defaults(command=_check)
    for action in (fetch, check):
        action.add_argument("--root", help=f"folder of cifar10.npz (default: {data_folder()})")


def _add_freeze(commands: Any) -> None:
    freeze = _add(
        commands,
        "freeze",
        "write down that this commit froze the rules of the second round\n\n"
        "Records made under other rules, or before, are refused from then on.",
        "  bnstudy freeze",
    )
    freeze.set_defaults(command=_freeze)
    freeze.add_argument("--data-dir", default="", help="folder of the records (default: data/)")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the experiment"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", default="", help="folder of the records (default: the repository's data)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, an object an experiment")


def _run(options: argparse.Namespace) -> int:
    names = list(EXPERIMENTS) if options.experiment == ALL else [options.experiment]
    if options.experiment == ALL and options.set:
        raise SpecError(f"--set is {options.set[0]!r} with {ALL}; allowed: with one experiment")
    store = _store(options)
    scan = store.scan()
    before = [status(_plan(name, options), store, scan) for name in names]
    if not options.json:
        # What it will take, before any of it is taken.
        print("\n".join(_in_words(found) for found in before))
    failed: list[StudyError] = []
    for found in before:
        try:
            _run_one(options, found)
        except StudyError as error:
            # The other experiments don't depend on it.
            failed.append(error)
    scan = store.scan()
    if scan.sound and not is_current(store, scan):
        describe(store)
    if failed:
        raise StudyError("; ".join(map(str, failed)))
    return 0


def _run_one(options: argparse.Namespace, before: Status) -> None:
    with _executor(options) as executor:
        frames = run_study(
            before.experiment,
            _settings(options),
            device=options.device,
            data_dir=options.data_dir,
            progress=not options.quiet,
            executor=executor,
        )
    if options.json:
        result = {name: getattr(frames, name) for name in ("runs", "trained", "stale")}
        print(json.dumps({"experiment": before.experiment, "needed": before.needed, **result}))
    elif before.missing:
        print(f"{before.experiment}: all {before.needed} runs are recorded")


@contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Executor | None]:
    from bnstudy.study.executors import cluster, processes

    if options.scheduler:
        with cluster(options.scheduler) as executor:
            yield executor
    elif options.workers is not None:
        with processes(options.workers) as executor:
            yield executor
    else:
        yield None


def _status(options: argparse.Namespace) -> int:
    store = _store(options)
    names = list(EXPERIMENTS) if options.experiment == ALL else [options.experiment]
    scan = store.scan()
    found = [status(_plan(name, options), store, scan) for name in names]
    if options.json:
        print(json.dumps({"experiments": [dataclasses.asdict(s) for s in found]}))
    else:
        print("\n".join(_in_words(s) for s in found))
    return 0 if all(s.complete for s in found) else INCOMPLETE


def _in_words(found: Status) -> str:
    counts = {
        "missing": found.missing,
        "stale": found.stale,
        "damaged": found.damaged,
        "failed": found.failed,
        "newer": found.newer,
    }
    said = "".join(f", {len(names)} {what}" for what, names in counts.items() if names or what == "missing")
    lines = [f"{found.experiment}: {found.needed} runs needed, {len(found.recorded)} records{said}"]
    if found.missing:
        time = (
            f"about {in_words(found.estimate)}, one after the other"
            if found.estimate
            else "no run alike is recorded"
        )
        lines.append(f"  to train: {', '.join(found.missing[:4])}{' …' * (len(found.missing) > 4)} ({time})")
    lines += [f"  {error}" for error in [*found.damaged.values(), *found.newer.values()]]
    lines += [f"  {name} failed when it last ran: {error}" for name, error in found.failed.items()]
    return "\n".join(lines)


def _ask(options: argparse.Namespace) -> int:
    with _executor(options) as executor:
        ask_command.run(options, _settings(options), executor)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from bnstudy.study import verify_command

    plan = plan_of(options.experiment, {}) if options.experiment else None
    names = [run.spec.name for run in plan.runs()] if plan else None
    return 0 if verify_command.run(options, _store(options), names) else INCOMPLETE


def _describe(options: argparse.Namespace) -> int:
    store = _store(options)
    found = describe(store)
    print(f"wrote {store.root / INDEX} and {store.root / DESCRIPTOR}: {len(found.sound)} records")
    for error in [*found.damaged.values(), *found.newer.values()]:
        print(f"bnstudy: left out: {error}", file=sys.stderr)
    return INCOMPLETE if found.damaged or found.newer else 0


def _compress(options: argparse.Namespace) -> int:
    store = _store(options)
    done = compress(store)
    if options.json:
        names = {name: getattr(done, name) for name in ("rewritten", "already", "in_use", "before", "after")}
        errors = {name: {k: str(e) for k, e in getattr(done, name).items()} for name in ("damaged", "newer")}
        print(json.dumps({**names, "saved": done.before - done.after, **errors}))
        return 0 if done.complete else INCOMPLETE
    print(
        f"{len(done.rewritten)} records compressed, {len(done.already)} were so before, in {store.runs}: "
        f"{done.before:,} bytes before, {done.after:,} now, {done.before - done.after:,} saved"
    )
    for error in [*done.damaged.values(), *done.newer.values()]:
        print(f"bnstudy: left as it is: {error}", file=sys.stderr)
    for name in done.in_use:
        print(f"bnstudy: left as it is: the record {name}, which another process has in use", file=sys.stderr)
    return 0 if done.complete else INCOMPLETE


def _freeze(options: argparse.Namespace) -> int:
    from bnstudy.chapters.second_round import freeze_rules

    print(f"wrote {freeze_rules(options.data_dir)}")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    fetch_cifar10(options.root)
    return 0


def _check(options: argparse.Namespace) -> int:
    dataset = load_dataset(options.name, options.root)
    print(f"{options.name}: {len(dataset.x_train)} training and {len(dataset.x_test)} test images, intact")
    return 0


def _store(options: argparse.Namespace) -> Store:
    return Store(options.data_dir or default_data_dir())


def _settings(options: argparse.Namespace) -> dict[str, str]:
    settings = {}
    for item in options.set:
        name, equals, value = item.partition("=")
        if not equals:
            raise SpecError(f"--set is {item!r}; allowed: NAME=VALUE, as in --set epochs=3")
        if name in _OPTIONS:
            raise SpecError(f"--set is {item!r}; allowed: {_OPTIONS[name]}, an option of its own")
        settings[name] = value
    return settings


def _plan(experiment: str, options: argparse.Namespace) -> Study:
    return plan_of(experiment, _settings(options), also=())


if __name__ == "__main__":
    sys.exit(main())
