"""Committed records against their runs, made again: other ones every time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bnstudy.data import DataError, data_folder, load_dataset
from bnstudy.spec import RunSpec
from bnstudy.study.store import Record, Store
from bnstudy.study.verify import choose, rerun

STORE = Store(Path(__file__).parents[1] / "data")
SHORT = 25.0  # seconds that a run took when it was recorded

pytestmark = pytest.mark.slow


def short(record: Record) -> bool:
    return record.spec.kind != "step_cost" and record.provenance["wall_seconds"] < SHORT


def come_out_again(records: list[Record]) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chosen = choose(records, 3, seed)
    assert len(chosen) == 3
    again = [rerun(record, STORE) for record in chosen]
    assert [str(a) for a in again if not a.matches] == [], f"drawn with seed {seed}"


def test_three_random_records_that_need_no_data_come_out_again() -> None:
    come_out_again([r for r in STORE.records() if short(r) and not hasattr(r.spec, "dataset")])


def test_three_random_records_of_trainings_come_out_again() -> None:
    trained = [r for r in STORE.records() if short(r) and isinstance(r.spec, RunSpec)]
    try:
        for name in {r.spec.dataset for r in trained if isinstance(r.spec, RunSpec)}:
            load_dataset(name)
    except DataError:
        pytest.skip(f"no CIFAR-10 in {data_folder()}")
    come_out_again(trained)
