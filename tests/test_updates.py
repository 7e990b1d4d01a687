"""When the layers absorb a batch: the same training in every mode, and averages that a hand loop gives."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch.nn import functional as F

from bnstudy.records.spec import RunSpec, SpecError, validate
from bnstudy.study.watching import Probed
from bnstudy.train.data import Dataset
from bnstudy.train.feed import DeviceData
from bnstudy.train.fleet import train_fleet, train_run
from tests.reference import Look, averaged, forward, fresh

MODES = ("in_place", "with_step", "after_step", "never")
SETTINGS = {
    "dataset": "digits",
    "batch_size": 8,
    "epochs": 1,
    "zero_debias": ["none"],
    "evaluations": 3,
}


def spec(**changes):
    return RunSpec(**{**SETTINGS, "precision": "float32", **changes})


def run(images, watch=None, **changes):
    return train_run(spec(**changes), images, progress=False, watch=watch)


def looked_at(images, **changes):
    look = Look()
    return run(images, look, **changes), look.statistics()


def rows(result, statistics):
    table = result.tables["evaluation"]
    every = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return [row for row in every if row["statistics"] == statistics]


def assert_equal_statistics(found, expected, equal=torch.equal):
    assert len(found) == len(expected) == 5
    for pair, wanted in zip(found, expected, strict=True):
        assert all(equal(a, b) for a, b in zip(pair, wanted, strict=True))


def close(a, b):
    return torch.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def images(digits):
    """Twenty training images, hence batches of 8, 8 and 4, and ten test images."""
    return Dataset("digits", digits.x_train[:20], digits.y_train[:20], digits.x_test[:10], digits.y_test[:10])


@pytest.fixture(scope="module")
def every(images):
    return {mode: looked_at(images, updates=mode) for mode in MODES}


@pytest.fixture(scope="module")
def bank(images):
    return run(images)


def assert_same_training(results, bank):
    assert "weights" not in bank.tables
    weights = results[0].tables["weights"]
    assert weights["digest"]
    for result in results:
        assert result.tables["training"] == bank.tables["training"]
        assert result.tables["weights"] == weights
        for untouched in ("batch", "frozen", "precise"):
            assert rows(result, untouched) == rows(bank, untouched)


def test_no_mode_touches_the_training(every, bank):
    assert_same_training([result for result, _ in every.values()], bank)


def test_no_mode_touches_the_training_in_half_precision(images):
    half = {"precision": "bfloat16", "evaluations": 1, "statistics": ["batch", "moving"]}
    assert_same_training([run(images, updates=mode, **half) for mode in MODES], run(images, **half))


def test_in_place_and_with_the_step_keep_the_banks_averages_bit_for_bit(every, bank):
    assert_equal_statistics(every["in_place"][1], every["with_step"][1])
    expected = rows(bank, "moving")
    assert rows(every["in_place"][0], "moving") == rows(every["with_step"][0], "moving") == expected
    for mode in ("after_step", "never"):
        assert rows(every[mode][0], "moving") != expected


def test_forgotten_averages_stay_where_they_start(every):
    _, statistics = every["never"]
    assert all((mean == 0).all() and (variance == 1).all() for mean, variance in statistics)


def test_the_averages_are_those_of_a_loop_by_hand(images):
    old_weights, new_weights = [], []

    def absorb(averages):
        def look(net, x, y):
            averages.append(averaged(averages[-1] if averages else fresh(net), forward(net, x)[1]))

        return look

    quick = {"precision": "float64", "evaluations": 1, "statistics": ["moving"]}
    run(images, Look(absorb(old_weights), absorb(new_weights)), updates="never", **quick)
    assert len(old_weights) == len(new_weights) == 3
    for mode, expected in (
        ("in_place", old_weights),
        ("with_step", old_weights),
        ("after_step", new_weights),
    ):
        _, found = looked_at(images, updates=mode, **quick)
        assert_equal_statistics(found, expected[-1], close)
    assert not any(close(a[0], b[0]) for a, b in zip(old_weights[-1], new_weights[-1], strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_moving_is_what_the_layers_hold(images, mode):
    look = Look()
    result = run(images, look, updates=mode, precision="float64", evaluations=1, statistics=["moving"])
    data = DeviceData(images, torch.float64, torch.device("cpu"))
    images, labels = data.test.batch(torch.arange(10)[:, None])
    logits, _ = forward(look.net, images, look.statistics())
    [row] = [row for row in rows(result, "moving") if row["split"] == "test"]
    assert row["loss"] == pytest.approx(F.cross_entropy(logits, labels[:, 0]).item(), rel=1e-9)
    assert row["accuracy"] == pytest.approx((logits.argmax(1) == labels[:, 0]).double().mean().item())


@pytest.mark.parametrize("mode", MODES)
def test_an_evaluation_leaves_the_averages_alone(images, every, mode):
    _, often = every[mode]
    look = Look()
    run(images, look, updates=mode, evaluations=1, statistics=["moving"])
    assert_equal_statistics(look.statistics(), often)
    assert {layer.updates for layer in look.net.norm_layers()} == {mode}


# These two pass images through the network once more, beside the step.
PROBES = {"probes": ("gradient_predictiveness", "internal_covariate_shift"), "probed_steps": 2}


def probed(images, **changes):
    own = spec(**PROBES, **changes)
    watch = Probed(own, images, "cpu")
    return train_run(own, images, progress=False, watch=watch), watch.tables()


def test_probes_and_averages_leave_each_other_alone(images, every):
    _, expected = probed(images)
    for mode, (plain, _) in every.items():
        result, measured = probed(images, updates=mode)
        assert result.tables == plain.tables
        assert measured == expected


def test_a_digest_is_the_sha_256_of_a_parameters_values(images):
    seen = []

    def note(net, x, y):
        # Tables name the layers' parameters as TensorFlow does.
        recorded = {n.replace("norm.bias", "norm.beta"): p for n, p in net.named_parameters()}
        seen.append({name: p.detach().clone() for name, p in recorded.items()})

    table = run(images, Look(after=note), updates="in_place").tables["weights"]
    expected = [
        (step, name, hashlib.sha256(bytes(values.contiguous().numpy())).hexdigest()[:16])
        for step, weights in enumerate(seen, start=1)
        for name, values in weights.items()
        if step in {1, 2, 3}
    ]
    assert list(zip(table["step"], table["parameter"], table["digest"], strict=True)) == expected
    other = run(images, updates="in_place", seed=1).tables["weights"]
    assert not set(table["digest"]) & set(other["digest"])


def test_each_member_of_a_fleet_has_averages_and_digests_of_its_own(images):
    settings = {"updates": "in_place", "evaluations": 1, "statistics": ["moving"]}
    exact = [spec(**settings, precision="float64", seed=seed) for seed in (3, 5)]
    for own, result in zip(exact, train_fleet(exact, images, progress=False), strict=True):
        alone = train_run(own, images, progress=False)
        for found, wanted in zip(rows(result, "moving"), rows(alone, "moving"), strict=True):
            assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-8)
    # Rounding parts a member's weights from its lone run's, but not from an equal member's.
    specs = [spec(**settings, seed=seed) for seed in (3, 5, 3)]
    first, other, second = (r.tables["weights"] for r in train_fleet(specs, images, progress=False))
    assert first == second
    assert first["parameter"] == other["parameter"]
    assert first["digest"] != other["digest"]


def test_a_run_that_diverges_has_digests_of_the_steps_before(images):
    result = run(images, updates="never", norm_last=False, relu_on_logits=False, learning_rate=1e20)
    assert result.outcome.startswith("diverged")
    assert set(result.tables["weights"].get("step", [])) <= set(result.tables["training"]["step"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"updates": "sometimes"},
            "updates is 'sometimes'; allowed: 'bank', 'in_place', 'with_step', 'after_step' or 'never'",
        ),
        (
            {"updates": "in_place"},
            r"updates is 'in_place' with zero_debias \['both', 'none'\]; allowed: \['none'\]",
        ),
        (
            {"updates": "never", "decays": [0.5, 0.9]},
            r"updates is 'never' with decays \[0.5, 0.9\] and .*; allowed: one decay, and 'none' among",
        ),
        (
            {"updates": "with_step", "norm": "none"},
            "updates is 'with_step'; allowed: 'bank', or norm='batch' or norm='noisy' with it",
        ),
        (
            {"updates": "after_step", "renorm": True},
            "updates is 'after_step'; allowed: 'bank', or renorm=False with it",
        ),
        ({"spacing": "even"}, "spacing is 'even'; allowed: 'log' or 'linear'"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(parameters, message):
    with pytest.raises(SpecError, match=message):
        validate(RunSpec, parameters)
