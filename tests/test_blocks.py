"""The second round's blocks: their runs are those that the frozen rules speak of."""

from __future__ import annotations

import pandas as pd
import pytest

from bnstudy.analysis.judged import BLOCKS, CONFIRMATORY, TUNING
from bnstudy.blocks import chosen
from bnstudy.chapters import EXPERIMENTS, plan_of
from bnstudy.chapters.loading import load
from bnstudy.study.run import NotRecordedError

# A study of this package, and the block of the rules that its runs are.
JUDGED = {
    "core": "core",
    "small_data": "regularisation",
    "gamma_and_epsilon": "knobs",
    "shift": "shift",
    "in_turn": "in turn",
    "step_costs": "cost",
}
# Arms that are shown beside, without a verdict.
BESIDE = {
    "in_turn": {"batch", "group", "He"},
    "shift": {"half the rate, sgd", "half the rate, adam"},
}


def test_every_block_of_the_rules_is_a_study():
    assert set(JUDGED.values()) == set(BLOCKS)
    assert set(JUDGED) <= set(EXPERIMENTS)


@pytest.mark.parametrize("study", JUDGED)
def test_runs_are_the_arms_of_their_block_with_its_seeds(study):
    plan, block = plan_of(study, {}), BLOCKS[JUDGED[study]]
    planned: dict[str, list[int]] = {}
    for run in plan.runs():
        found = block.arms_of(run.spec)
        label = ", ".join(run.arms.values())
        if label in BESIDE.get(study, set()):
            assert found == []
        else:
            assert found == (["all"] if study == "step_costs" else [label])
            planned.setdefault(found[0], []).append(run.spec.seed)
    assert set(planned) == set(block.arms)
    assert all(seeds == list(block.judged_seeds()) for seeds in planned.values())


@pytest.mark.parametrize("study", ["learning_rates", "small_data_strengths"])
def test_choices_are_made_with_other_seeds_and_without_a_test_image(study):
    for run in plan_of(study, {}).runs():
        assert run.spec.seed in TUNING
        assert run.spec.held_out == 5000
        assert run.spec.evaluations == 0
        assert {split for look in run.spec.looks for split in look.splits} == {"validation"}


def test_confirmatory_and_tuning_seeds_are_apart():
    assert not set(CONFIRMATORY) & set(TUNING)


def test_the_best_arm_is_that_of_the_last_look_on_held_out_images():
    rows = [
        # arm, rate, seed, step, split, accuracy
        ("none", "0.1", 200, 10, "validation", 0.9),
        ("none", "0.1", 200, 20, "validation", 0.6),
        ("none", "0.1", 201, 20, "validation", 0.6),
        ("none", "0.3", 200, 20, "validation", 0.8),
        ("none", "0.3", 201, 10, "validation", 0.9),  # diverged after it: a tenth
        ("none", "0.3", 201, 20, "test", 0.9),
        ("batch", "1", 200, 20, "validation", 0.5),
        ("batch", "1", 201, 20, "validation", 0.7),
    ]
    frame = pd.DataFrame(rows, columns=["arm", "learning_rate", "seed", "step", "split", "accuracy"])
    assert chosen.best(frame, "learning_rate") == {"none": "0.1", "batch": "1"}


@pytest.mark.parametrize(
    ("study", "axis", "choices"),
    [
        ("learning_rates", "learning_rate", {"": {k: f"{v:g}" for k, v in chosen.RATES.items()}}),
        (
            "small_data_strengths",
            "strength",
            {
                "L2 ": {k: f"L2 {v:g}" if v else "none" for k, v in chosen.L2.items()},
                "dropout ": {k: f"dropout {v:g}" if v else "none" for k, v in chosen.DROPOUT.items()},
            },
        ),
    ],
)
def test_what_is_chosen_is_what_the_records_choose(study, axis, choices):
    try:
        looks = load(study)["checkpoints"]
    except NotRecordedError:
        pytest.skip(f"{study} isn't recorded in full yet")
    for prefix, typed in choices.items():
        of_kind = looks[looks[axis].str.startswith(prefix) | (looks[axis] == "none")]
        best = chosen.best(of_kind, axis)
        assert best == typed
        # A best at an edge could lie beyond it: the grid has to be wider then.
        if not prefix:
            for arm, rate in best.items():
                rates = looks.loc[looks["arm"] == arm, axis].astype(float)
                assert rates.min() < float(rate) < rates.max()
