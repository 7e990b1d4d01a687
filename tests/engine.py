"""A study of twelve short runs, and the processes that run it, for the tests of the engine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bnstudy.study.experiments import plan_of
from bnstudy.study.store import Store
from tests import warm

Settings = dict[str, Any]

SETTINGS: Settings = {
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 16,
    "train_size": 32,
    "decays": [0.9],
    "seeds": 6,
}
RUNS = 12
# Half of them, where half will do.
HALF = {**SETTINGS, "seeds": 3}

# One thread each: two processes with two threads each on two cores would mostly wait for each other.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def names(settings: Settings) -> set[str]:
    """The names of the runs that `settings` ask for."""
    return {run.spec.name for run in plan_of("decay", settings).runs()}


def command(folder: Path, *more: str, settings: Settings = SETTINGS) -> list[str]:
    """`bnstudy run decay` for the runs of `settings`, with records in `folder`."""
    pairs = [x for name, value in settings.items() for x in ("--set", f"{name}={value}")]
    where = ["--data-dir", str(folder), "--quiet", "--json"]
    return [sys.executable, "-m", "bnstudy.cli", "run", "decay", *pairs, *where, *more]


def start(folder: Path, *more: str, settings: Settings = SETTINGS) -> subprocess.Popen:
    return subprocess.Popen(
        command(folder, *more, settings=settings),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fork(folder: Path, *, settings: Settings = SETTINGS, out: Path | None = None) -> BaseProcess:
    """Start the same in a process that finds its libraries loaded; what it says goes to ``out``."""
    return warm.fork(_run, command(folder, settings=settings)[3:], out or Path(os.devnull))


def _run(arguments: list[str], out: Path) -> None:
    from bnstudy.cli import main

    with out.open("w") as said, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        sys.exit(main(arguments))


def content(folder: Path) -> dict[str, object]:
    """Everything in the store but times: tables byte by byte, headers without what the clock decides."""
    found: dict[str, object] = {}
    for path in sorted(p for p in Store(folder).runs.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.name == "record.json":
            body = json.loads(path.read_text())
            del body["provenance"]["wall_seconds"], body["sha256"]
            found[name] = body
        else:
            found[name] = path.read_bytes()
    return found
