"""How long runs will take: by hand, from records whose durations are known."""

from __future__ import annotations

import pytest

from bnstudy.records.kinds import SharingSpec, StepCostSpec
from bnstudy.records.provenance import processor
from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Record
from bnstudy.study.estimate import in_words, seconds


def record(spec, took, device=None, outcome="finished"):
    return Record(spec, {"device": device or processor(), "wall_seconds": took}, outcome, {})


def spec(**changes):
    return RunSpec(**{"dataset": "digits", "train_size": 100, "epochs": 2, **changes})


RECORDS = [
    record(spec(), 10.0),  # 5 s an epoch
    record(spec(seed=1, learning_rate=0.1, epochs=4, decays=[0.5]), 28.0),  # alike: 7 s an epoch
    record(spec(seed=2, optimizer="sgd", momentum=0.9), 40.0),  # alike: 20 s an epoch
    record(spec(dropout=0.5, train_size=200), 80.0),  # another run: 0.2 s an image
]


def test_runs_alike_take_as_long_per_epoch_as_their_median():
    assert seconds([spec(seed=9)], RECORDS) == pytest.approx(2 * 7)
    assert seconds([spec(seed=9, epochs=3), spec(seed=8, schedule="annealed")], RECORDS) == pytest.approx(
        5 * 7
    )
    assert seconds([spec(dropout=0.5, train_size=200, epochs=5)], RECORDS) == pytest.approx(5 * 40)
    assert seconds([], RECORDS) == 0


def test_other_runs_take_as_long_per_image_as_the_median_of_their_kind():
    per_image = sorted([10 / 200, 28 / 400, 40 / 200, 80 / 400])
    median = (per_image[1] + per_image[2]) / 2
    assert seconds([spec(batch_size=64, train_size=50)], RECORDS) == pytest.approx(2 * 50 * median)
    assert seconds([RunSpec(dataset="digits", epochs=1)], RECORDS) == pytest.approx(1438 * median)
    assert seconds([RunSpec(epochs=3)], RECORDS) == pytest.approx(3 * 50_000 * median)
    both = [spec(seed=9), spec(batch_size=64, train_size=50)]
    assert seconds(both, RECORDS) == pytest.approx(2 * 7 + 2 * 50 * median)


def test_a_size_is_that_of_the_data_set(digits):
    whole = seconds([RunSpec(dataset="digits", epochs=1)], RECORDS)
    named = seconds([RunSpec(dataset="digits", epochs=1, train_size=len(digits.y_train))], RECORDS)
    assert whole == pytest.approx(named)


def test_a_kind_is_estimated_from_its_own_kind_alone():
    sharing, cost = SharingSpec(), StepCostSpec(dataset="digits", rounds=2)
    assert seconds([sharing], RECORDS) is None
    assert seconds([spec(), sharing], RECORDS) is None
    records = [*RECORDS, record(sharing, 0.5), record(cost, 30.0)]
    assert seconds([SharingSpec(seed=1)], records) == pytest.approx(0.5)
    assert seconds([SharingSpec(reuse=False)], records) == pytest.approx(0.5)  # the median of its kind
    more = StepCostSpec(dataset="digits", rounds=2, seed=4)
    assert seconds([more, spec(seed=9), SharingSpec(seed=1)], records) == pytest.approx(30 + 14 + 0.5)
    assert seconds([spec(seed=9)], records) == seconds([spec(seed=9)], RECORDS)


def test_what_tells_nothing_is_left_out():
    elsewhere = [
        record(spec(), 1.0, device="another processor"),
        record(spec(), 1.0, outcome="diverged at step 1"),
    ]
    assert seconds([spec(seed=9)], elsewhere) is None
    assert seconds([spec(seed=9)], [*RECORDS, *elsewhere]) == seconds([spec(seed=9)], RECORDS)
    assert seconds([spec(seed=9)], RECORDS, device="cuda") is None


def test_a_duration_in_words():
    assert [in_words(v) for v in (40, 89.4, 90, 5399, 5400, 12_600)] == [
        *("40 s", "89 s"),
        *("2 min", "90 min"),
        *("1.5 h", "3.5 h"),
    ]
