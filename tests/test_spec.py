"""A run's description: canonical, validated, and clear about what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.spec import RunSpec, SpecError, validate
from bnstudy.study import DecayStudy

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


def test_a_spec_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        RunSpec().seed = 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"decay": 0.9}, r"unknown parameter 'decay'; allowed: dataset, decays, "),
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
    specs = DecayStudy(seeds=3).specs()
    assert [(s.seed, s.schedule) for s in specs[:2]] == [(0, "constant"), (0, "annealed")]
    assert len({s.run_id for s in specs}) == 6
