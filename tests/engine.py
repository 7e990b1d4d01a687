"""A study of twelve short runs, and the processes that run it, for the tests of the engine."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

from bnstudy.study.experiments import plan_of
from bnstudy.study.store import Store

SETTINGS = {
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 64,
    "train_size": 128,
    "decays": [0.9],
    "seeds": 6,
}
RUNS = 12

# One thread each: two processes with two threads each on two cores would mostly wait for each other.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def specs():
    """The specs of the twelve runs."""
    return [run.spec for run in plan_of("decay", SETTINGS).runs()]


def command(folder: Path, *more: str) -> list[str]:
    """`bnstudy run decay` for the twelve runs, with records in `folder`."""
    pairs = [x for name, value in SETTINGS.items() for x in ("--set", f"{name}={value}")]
    where = ["--data-dir", str(folder), "--quiet", "--json"]
    return [sys.executable, "-m", "bnstudy.cli", "run", "decay", *pairs, *where, *more]


def start(folder: Path, *more: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        command(folder, *more),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def fork(folder: Path) -> multiprocessing.Process:
    """Start the same in a process of its own that finds its libraries loaded, seconds sooner.

    It is forked from a server that has loaded them and done nothing, under one thread.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["bnstudy.train", "sklearn.datasets", "torch._inductor.config"])
    process = server.Process(target=_run, args=(command(folder)[3:],))
    process.start()
    return process


def _run(arguments: list[str]) -> None:
    from bnstudy.cli import main

    # What the test itself says goes to its own output.
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
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
