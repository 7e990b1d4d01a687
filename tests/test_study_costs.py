"""The sums behind the costs of a study, from invented times, and the recorded result against today's plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import study_costs
from bnstudy.records.sealed import read_sealed
from bnstudy.records.spec import RunSpec

RECORDED = Path(__file__).parents[1] / "data" / "bench" / "study_costs.json"

# Four steps take 4 s here, and 8 s the ordinary way; a look takes nothing but where a test says so.
RUNS = study_costs.core_runs()
FREE = {f"{arm} look {i}": 0.0 for arm, spec in RUNS.items() for i in range(len(spec.looks))}
TIMES = {
    **FREE,
    **{f"{arm} {what}": t for arm in RUNS for what, t in (("steps", 4.0), ("ordinary steps", 8.0))},
    **{f"{arm} ordinary pass": 0.0 for arm in RUNS},
    "snapshot, one decay": 1.0,
}
STEPS = 391 * 22


def test_arms_are_those_that_rules_and_figures_read():
    assert study_costs.judged_decays() == [0.0, 0.9, 0.999]
    assert study_costs.shown_decays(RUNS["batch"]) == [0.0, 0.9, 0.99, 0.999]
    assert study_costs.snapshots(RUNS["batch"]) == [18.0, 22.0]


def test_a_study_without_evaluation_costs_its_steps():
    assert study_costs.own(TIMES, RUNS) == 2 * STEPS
    assert study_costs.share(TIMES, RUNS) == 0.0
    # One training without batch norm and three with it, at twice the time a step, over two.
    assert study_costs.ordinary_core(TIMES, [0.0, 0.9, 0.999]) / study_costs.own(TIMES, RUNS) == 4.0


def test_a_look_counts_as_often_as_it_is_taken_and_tenfold():
    times = {**TIMES, "batch look 3": 7.0}  # fifteen checkpoints of the constant phase
    assert study_costs.evaluation(times, "batch", RUNS["batch"]) == 15 * 10 * 7.0
    assert study_costs.share(times, {"batch": RUNS["batch"]}) == 1050 / (1050 + STEPS)


def test_an_ordinary_training_is_evaluated_as_often_as_ours():
    look = {
        "epochs": [1, 2],
        "decays": [0.5, 0.9],
        "statistics": ["moving", "batch"],
        "splits": ["test", "train"],
    }
    spec = RunSpec(epochs=2, evaluations=0, looks=[look, {"ratio": 10.0, "images": 5000}])
    # Two looks at two splits; those of the ratio, after 1, 10 and 100 steps at half the images, are of 0.9.
    count = study_costs.times(spec, spec.looks[1])
    assert count == 3
    assert study_costs.passes(spec, 0.5) == 2 * 2
    assert study_costs.passes(spec, 0.9) == 2 * 2 * 2 + count / 2
    assert study_costs.passes(spec, 0.7) == 0


def test_one_decay_more_is_an_ordinary_training_over_two_questions():
    assert study_costs.another_decay(TIMES, RUNS["batch"]) == 2 * STEPS / (2 * 10)


def test_a_tenth_of_a_look_is_the_same_look_on_a_tenth_of_the_images():
    for spec in RUNS.values():
        for look in spec.looks:
            [small] = study_costs.tenth(spec, look).looks
            assert small.epochs == (22.0,)
            for name in ("images", "precise_images"):
                whole = getattr(look, name)
                assert getattr(small, name) == (None if whole is None else whole / 10)
            alike = {"epochs": (1.0,), "ratio": None, "images": None, "precise_images": None}
            assert small.model_copy(update=alike) == look.model_copy(update=alike)


def test_the_recorded_result_is_of_todays_plan():
    found = read_sealed(RECORDED)
    looks = {
        arm: [
            {
                "times": study_costs.times(spec, look),
                "statistics": list(look.statistics),
                "splits": list(look.splits),
            }
            for look in spec.looks
        ]
        for arm, spec in RUNS.items()
    }
    assert found["looks"] == looks
    assert found["core block, arms judged"]["decays"] == study_costs.judged_decays()
    seconds = found["seconds"]
    ratio = found["step, ordinary over ours"]["batch"]
    assert seconds["batch ordinary steps"] / seconds["batch steps"] == pytest.approx(ratio["median"], rel=0.3)
    assert ratio["lowest"] <= ratio["median"] <= ratio["highest"]
