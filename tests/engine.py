"""Small studies for the tests of the engine, and the processes that run one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from bnstudy.records.store import Store
from tests import warm

# Of the decay study, for tests in one process.
SETTINGS = {"dataset": "digits", "epochs": 1, "batch_size": 16, "train_size": 32, "decays": [0.9]}

# Of the study whose runs are over soonest, for tests of several: twelve runs.
STUDY = "explosion"
SHORT = {
    "dataset": "digits",
    "batch_size": 16,
    "train_size": 32,
    "sgd_rates": [0.1],
    "adam_rates": [0.001],
    "seeds": 3,
}
RUNS = 12

# One thread each: two processes with two threads each on two cores would mostly wait for each other.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(folder: Path, *more: str) -> list[str]:
    """`bnstudy run` for the twelve runs, with records in `folder`."""
    pairs = [x for name, value in SHORT.items() for x in ("--set", f"{name}={value}")]
    where = ["--data-dir", str(folder), "--quiet", "--json"]
    return [sys.executable, "-m", "bnstudy.cli", "run", STUDY, *pairs, *where, *more]


def start(folder: Path, *more: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(folder, *more),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fork(folder: Path, out: Path | None = None) -> BaseProcess:
    """Start the same in a process that finds its libraries loaded; what it says goes to ``out``."""
    return warm.fork(_run, command(folder)[3:], out or Path(os.devnull))


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
            del body["provenance"]["wall_seconds"], body["provenance"]["date"], body["sha256"]
            found[name] = body
        else:
            found[name] = path.read_bytes()
    return found
