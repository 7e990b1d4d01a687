"""What reading costs: many records as large as those of the decay study, and a figure of them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from typing import Any

from bnstudy.bench.pairs import Line, single
from bnstudy.chapters import plan_of
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Store
from bnstudy.records.tables import Table

SEEDS = 500  # two schedules each: 1,000 records
STEPS = 1955  # five epochs of CIFAR-10
EVALUATIONS = (1, 3, 9, 26, 77, 226, 665, STEPS)

READ = """
import sys, time
start = time.perf_counter()
import bnstudy
from bnstudy.chapters.decay import figures
frames = bnstudy.load("decay", sys.argv[1], seeds=int(sys.argv[2]))
figures.accuracy_over_training(frames["evaluation"])
print(time.perf_counter() - start)
"""


def reading(_: Any) -> Line:
    """Seconds that a new process takes to load 1,000 records, checksums verified, and to draw a figure."""
    with tempfile.TemporaryDirectory() as folder:
        write_records(Store(folder), SEEDS)
        command = [sys.executable, "-c", READ, folder, str(SEEDS)]
        environment = {**os.environ, "MPLBACKEND": "agg"}
        seconds = [
            float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
            for _ in range(3)
        ]
    return single(f"load {2 * SEEDS} records and draw a figure", min(seconds), "s", "below 3")


def write_records(store: Store, seeds: int) -> None:
    """Write a record for each run of the decay study, with invented numbers in tables of the true size."""
    chance = random.Random(0)
    for run in plan_of("decay", {"seeds": seeds}).runs():
        spec = run.spec
        assert isinstance(spec, RunSpec)
        training: Table = {
            "step": list(range(1, STEPS + 1)),
            "loss": [chance.random() for _ in range(STEPS)],
            "accuracy": [chance.random() for _ in range(STEPS)],
            "learning_rate": [spec.learning_rate] * STEPS,
        }
        rows = [
            (step, "test", statistics, decay, zero_debias, chance.random(), chance.random())
            for step in EVALUATIONS
            for statistics, decay, zero_debias in [
                ("batch", None, None),
                ("precise", None, None),
                *(("moving", d, z) for d in spec.decays for z in spec.zero_debias),
                *(("frozen", d, "both") for d in spec.decays),
            ]
        ]
        names = ("step", "split", "statistics", "decay", "zero_debias", "loss", "accuracy")
        evaluation: Table = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        made = {"source": "invented", "device": "none", "wall_seconds": 0.0}
        store.write(spec, made, "finished", {"training": training, "evaluation": evaluation})
