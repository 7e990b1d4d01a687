"""Make the records in ``tests/digits_records/``: a few short runs on the embedded digits, of many options.

``OMP_NUM_THREADS=1 python -m tests.make_digits_records``. Made once; later code has to give the same.
They stay in the format of their day, a plain CSV file a table: what reads them reads that format.
"""

from __future__ import annotations

from pathlib import Path

import torch

from bnstudy.records.kinds import SharingSpec
from bnstudy.records.spec import RunSpec, Spec
from bnstudy.records.store import Store
from bnstudy.study.engine import run_all

STORE = Store(Path(__file__).with_name("digits_records"))
BASE = {"dataset": "digits", "train_size": 96, "batch_size": 16, "epochs": 2, "evaluations": 2}
SPECS: list[Spec] = [
    RunSpec(**BASE, decays=[0.5, 0.9]),
    RunSpec(**BASE, norm="none", optimizer="sgd", momentum=0.9, learning_rate=0.01, schedule="annealed"),
    RunSpec(**BASE, norm="noisy", probes=["internal_covariate_shift", "gradient_health"], probed_steps=2),
    RunSpec(**BASE, precision="float32", updates="after_step", zero_debias=["none"]),
    RunSpec(**BASE, zero_debias=["none"], test_batches=[4, 8]),
    RunSpec(**BASE, renorm=True, scale=True, dropout=0.3, weight_decay=1e-3),
    RunSpec(
        **BASE, padding=4, batch_weights=True, probes=["activation_drift", "gaussianity"], probed_steps=2
    ),
    SharingSpec(),
    SharingSpec(reuse=False),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    report = run_all(SPECS, STORE)
    print(f"{len(report.trained)} made, {len(report.elsewhere)} were there, {len(report.failed)} failed")
