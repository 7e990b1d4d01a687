"""Committed records against their runs, made again: others every time, of as many studies as there are."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from bnstudy.chapters import EXPERIMENTS, plan_of
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record, Store
from bnstudy.study.verify import replay, rerun
from bnstudy.train.data import DataError, data_folder, load_dataset

STORE = Store(Path(__file__).parents[1] / "data")
SHORT = 30.0  # seconds that a run took when it was recorded: it is trained again as a whole
STEPS = 30  # of the longer ones
DRAWN = 3
SEED = random.SystemRandom().randrange(2**32)


@cache
def by_study() -> dict[str, list[Record]]:
    """The records that can come out the same, in the first study that they are of."""
    left = {record.spec.name: record for record in STORE.records() if record.spec.kind != "step_cost"}
    found = {}
    for name in EXPERIMENTS:
        runs = dict.fromkeys(run.spec.name for run in plan_of(name, {}).runs())
        found[name] = [left.pop(run) for run in runs if run in left]
    assert not left, "records that no study needs"
    return found


def short(record: Record) -> bool:
    return bool(record.provenance["wall_seconds"] < SHORT)


def trained(record: Record) -> bool:
    return isinstance(record.spec, RunSpec)


def draw(groups: Mapping[str, Sequence[Record]], count: int, seed: int) -> list[Record]:
    """Draw records of different groups; once each group has given one, of any."""
    source = random.Random(seed)
    shuffled = [source.sample(group, len(group)) for group in groups.values() if group]
    source.shuffle(shuffled)
    first, rest = [group[0] for group in shuffled], [r for group in shuffled for r in group[1:]]
    return [*first, *source.sample(rest, len(rest))][:count]


def drawn(records: Iterable[tuple[str, list[Record]]], number: int) -> Record:
    return draw(dict(records), DRAWN, SEED)[number]


def load_data(record: Record) -> None:
    try:
        load_dataset(record.spec.dataset)
    except DataError:
        pytest.skip(f"no CIFAR-10 in {data_folder()}")


def test_records_are_drawn_from_different_studies_first():
    groups = {"many": list(range(100)), "none": [], "one": [100], "two": [200, 201]}
    for seed in range(50):
        of = [x // 100 for x in draw(groups, 3, seed)]
        assert sorted(of) == [0, 1, 2]
        five = draw(groups, 5, seed)
        assert len(set(five)) == 5
        assert sorted(x // 100 for x in five[:3]) == [0, 1, 2]
    assert len({tuple(draw(groups, 3, seed)) for seed in range(50)}) > 40
    assert sorted(draw({"few": [1, 2]}, 3, 0)) == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(DRAWN))
def test_a_random_record_that_needs_no_data_comes_out_again(number):
    groups = (
        (study, [r for r in records if short(r) and not hasattr(r.spec, "dataset")])
        for study, records in by_study().items()
    )
    again = rerun(drawn(groups, number), STORE)
    assert again.matches, f"{again}; drawn with seed {SEED}"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(DRAWN))
def test_a_random_record_of_a_short_training_comes_out_again(number):
    groups = (
        (study, [r for r in records if short(r) and trained(r)]) for study, records in by_study().items()
    )
    record = drawn(groups, number)
    load_data(record)
    again = rerun(record, STORE)
    assert again.matches, f"{again}; drawn with seed {SEED}"


@pytest.mark.slow
@pytest.mark.parametrize("study", EXPERIMENTS)
def test_a_random_longer_training_of_each_study_begins_as_it_is_recorded(study):
    if not by_study()[study]:
        pytest.skip("none of its trainings is recorded yet")
    longer = [r for r in by_study()[study] if trained(r) and not short(r)]
    if not longer:
        pytest.skip("all its recorded trainings are short: another test trains those again whole")
    [record] = draw({study: longer}, 1, SEED)
    load_data(record)
    again = replay(record, STORE, STEPS)
    assert again.matches, f"{again}; drawn with seed {SEED}"
