"""A run's description: canonical, validated, and clear about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.chapters.decay.study import DecayStudy
from bnstudy.records.kinds import read_spec
from bnstudy.records.spec import RunSpec, SpecError, validate

decays = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6)


@given(decays, st.randoms())
def test_order_and_repetition_do_not_change_the_name(values, random):
    shuffled = [*values, values[0]]
    random.shuffle(shuffled)
    assert RunSpec(decays=values).run_id == RunSpec(decays=shuffled).run_id


@given(decays, st.integers(0, 2**31 - 1), st.sampled_from(["constant", "annealed"]))
def test_canonical_json_gives_the_spec_back(values, seed, schedule):
    spec = RunSpec(decays=values, seed=seed, schedule=schedule)
    again = RunSpec(**json.loads(spec.canonical()))
    assert again == spec
    assert again.run_id == spec.run_id


def test_what_changes_the_weights_changes_the_trajectory_and_the_arms_do_not():
    base = RunSpec(decays=[0.9])
    assert RunSpec(decays=[0.5]).trajectory() == base.trajectory()
    assert RunSpec(decays=[0.5]).run_id != base.run_id
    for change in ({"seed": 1}, {"schedule": "annealed"}, {"learning_rate": 1e-2}, {"precision": "float32"}):
        assert RunSpec(decays=[0.9], **change).trajectory() != base.trajectory()


def test_committed_records_keep_their_names():
    """Fields that a spec has gained since must not rename the runs that never heard of them."""
    files = sorted((Path(__file__).parents[1] / "data" / "runs").glob("*/record.json"))
    assert files
    for file in files:
        assert read_spec(json.loads(file.read_text())["spec"]).name == file.parent.name


LATER = {
    "train_size": 100,
    "norm": "noisy",
    "epsilon": 0.01,
    "scale": True,
    "norm_last": False,
    "renorm": True,
    "optimizer": "sgd",
    "weight_decay": 1e-4,
    "dropout": 0.2,
    "statistics": ["moving"],
    "precise_images": 1000,
    "updates": "in_place",
    "spacing": "linear",
    "test_batches": [5],
    "padding": 4,
}


@pytest.mark.parametrize("name", LATER)
def test_every_later_field_counts(name):
    # Some need one average that is not debiased.
    base = {"zero_debias": ["none"]}
    spec = RunSpec(**{name: LATER[name]}, **base)
    assert spec.run_id != RunSpec(**base).run_id
    assert RunSpec(**json.loads(spec.canonical())) == spec


def test_members_of_a_fleet_have_the_rest_in_common():
    base = RunSpec()
    for change in ({"seed": 1}, {"learning_rate": 0.1}, {"schedule": "annealed"}, {"weight_decay": 0.1}):
        assert RunSpec(**change).fleet() == base.fleet()
    for change in ({"batch_size": 64}, {"decays": [0.5]}, {"dropout": 0.1}):
        assert RunSpec(**change).fleet() != base.fleet()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"momentum": 0.9}, r"momentum is 0.9; allowed: 0.0, or optimizer='sgd' with it"),
        ({"momentum": 1, "optimizer": "sgd"}, r"momentum is 1; allowed: a number from 0 to below 1"),
        (
            {"dropout_place": "before_norm"},
            r"'before_norm'; allowed: 'after_norm', or dropout above 0 with it",
        ),
        (
            {"norm": "none", "epsilon": 1e-5},
            r"epsilon is 1e-05; allowed: 0.001, or norm='batch' or norm='noisy'",
        ),
        ({"renorm_rmax": 3}, r"renorm_rmax is 3.0; allowed: None, or renorm=True with it"),
        ({"renorm": True, "renorm_rmax": 0.5}, r"renorm_rmax is 0.5; allowed: a finite number of at least 1"),
        ({"weight_decay": -1}, r"weight_decay is -1; allowed: a finite number of at least 0"),
        ({"train_size": 1}, r"train_size is 1; allowed: an integer of at least 2, or None"),
        (
            {"statistics": ["median"]},
            r"statistics is 'median'; allowed: 'batch', 'frozen', 'moving' or 'precise'",
        ),
        (
            {"statistics": ["moving"], "precise_images": 9},
            r"precise_images is 9; allowed: None, or 'precise'",
        ),
    ],
)
def test_options_without_effect_or_out_of_range(parameters, message):
    with pytest.raises(SpecError, match=message):
        validate(RunSpec, parameters)


def test_a_spec_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        RunSpec().seed = 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"decay": 0.9}, r"unknown parameter 'decay'; allowed: seeds, dataset, train_size, epochs, "),
        ({"decays": 1.5}, r"decays is 1.5; allowed: a list of numbers, each from 0 to below 1"),
        ({"decays": "[0.9, -0.1]"}, r"decays is -0.1; allowed: a list of numbers, each from 0 to below 1"),
        ({"decays": [0.9, 0.9]}, r"decays is \[0.9, 0.9\]; allowed: each value once"),
        ({"decays": []}, r"decays is \(?\[?\]?\)?; allowed: a list of numbers"),
        ({"dataset": "mnist"}, r"dataset is 'mnist'; allowed: 'cifar10' or 'digits'"),
        ({"schedules": "cosine"}, r"schedules is 'cosine'; allowed: 'constant' or 'annealed'"),
        ({"epochs": 0}, r"epochs is 0; allowed: greater than or equal to 1"),
        ({"learning_rate": float("nan")}, r"learning_rate is nan; allowed: a finite number above 0"),
        ({"seeds": "many"}, r"seeds is 'many'; allowed: a valid integer|seeds is 'many'; allowed: a integer"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(parameters, message):
    with pytest.raises(SpecError, match=message):
        validate(DecayStudy, parameters)


def test_lists_may_come_as_strings():
    study = validate(DecayStudy, {"decays": "[0.9, 0.97]", "schedules": "['annealed']", "seeds": "3"})
    assert study.decays == (0.9, 0.97)
    assert study.schedules == ("annealed",)
    assert study.seeds == 3


def test_seeds_pair_across_schedules():
    specs = [run.spec for run in DecayStudy(seeds=3).runs()]
    assert [(s.seed, s.schedule) for s in specs[:2]] == [(0, "constant"), (0, "annealed")]
    assert len({s.run_id for s in specs}) == 6
