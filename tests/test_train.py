"""One run: the same each time, and untouched by what is measured along it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bnstudy.records.spec import RunSpec
from bnstudy.train.device import deterministic
from bnstudy.train.feed import DeviceData
from bnstudy.train.fleet import evaluation_steps, train_run
from bnstudy.train.seeds import generator


def spec(**changes):
    settings = {"dataset": "digits", "batch_size": 32, "epochs": 2, "decays": [0.5, 0.9], "evaluations": 3}
    return RunSpec(**{**settings, **changes})


def run(few_digits, **changes):
    return train_run(spec(**changes), few_digits, progress=False)


@pytest.fixture(scope="module")
def plain(few_digits):
    """What a run gives without changes; every test that compares with it would train the same."""
    return run(few_digits)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_spec_gives_the_same_result_bit_for_bit(few_digits, precision):
    assert run(few_digits, precision=precision) == run(few_digits, precision=precision)


def test_measuring_changes_no_training(few_digits):
    often = run(few_digits, evaluations=6, decays=[0.0, 0.5, 0.9, 0.99])
    seldom = run(few_digits, evaluations=1)
    assert often.tables["training"] == seldom.tables["training"]


@pytest.mark.parametrize("changes", [{"dropout": 0.3}, {"norm": "noisy"}, {"renorm": True}])
def test_measuring_draws_no_random_number_and_moves_no_state(few_digits, plain, changes):
    often = run(few_digits, evaluations=3, **changes)
    seldom = run(few_digits, evaluations=1, statistics=["moving"], **changes)
    assert often.tables["training"] == seldom.tables["training"]
    assert often.tables["training"]["loss"] != plain.tables["training"]["loss"]


def test_only_the_statistics_asked_for_are_measured(few_digits, plain):
    every = plain.tables["evaluation"]
    rows = [dict(zip(every, row, strict=True)) for row in zip(*every.values(), strict=True)]
    for wanted in (["moving"], ["frozen"], ["batch"], ["precise", "moving"]):
        table = run(few_digits, statistics=wanted).tables["evaluation"]
        found = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        assert found == [row for row in rows if row["statistics"] in wanted]


def test_precise_statistics_of_some_images(few_digits):
    def scores(**changes):
        table = run(few_digits, statistics=["precise"], evaluations=1, **changes).tables["evaluation"]
        return table["loss"]

    assert scores(precise_images=80) == scores()
    assert scores(precise_images=32) != scores()


def test_a_small_training_set_is_the_seeds_and_balanced(few_digits):
    result = run(few_digits, train_size=40, epochs=2, batch_size=32)
    assert result.tables["training"]["step"] == [1, 2, 3, 4]  # 40 images: 32 and 8, twice
    assert run(few_digits, train_size=80).outcome == "finished"
    with pytest.raises(ValueError, match=r"train_size is 81; allowed: at most 80, the training images"):
        run(few_digits, train_size=81)
    with pytest.raises(ValueError, match=r"precise_images is 41; allowed: at most 40, the training images"):
        run(few_digits, train_size=40, precise_images=41)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01, "weight_decay": 1e-3},
        {"dropout": 0.2, "dropout_place": "before_norm"},
        {"norm": "noisy", "scale": True, "epsilon": 1e-5},
        {"renorm": True, "renorm_rmax": 3.0, "renorm_dmax": 5.0, "batch_size": 4, "epochs": 1},
        {"norm_last": False},
    ],
)
def test_every_option_trains_the_same_twice(few_digits, changes):
    result = run(few_digits, evaluations=1, **changes)
    assert result == run(few_digits, evaluations=1, **changes)
    assert result.outcome == "finished"
    losses = result.tables["training"]["loss"]
    assert losses[-1] < losses[0]


def test_an_arm_does_not_depend_on_the_arms_beside_it(few_digits):
    def rows(result):
        table = result.tables["evaluation"]
        return {
            tuple(table[k][i] for k in ("step", "split", "statistics", "zero_debias")): table["accuracy"][i]
            for i in range(len(table["step"]))
            if table["decay"][i] in (None, 0.9)
        }

    assert rows(run(few_digits, decays=[0.9])) == rows(run(few_digits, decays=[0.0, 0.5, 0.9, 0.999]))


def test_batches_cover_every_image_once_an_epoch(plain):
    assert plain.outcome == "finished"
    assert plain.tables["training"]["step"] == [1, 2, 3, 4, 5, 6]  # 80 images: 32, 32 and 16, twice


def test_evaluation_rows(plain):
    table = plain.tables["evaluation"]
    kinds = 2 + 2 * 2 + 2  # batch, precise; two decays with and without debias; two frozen
    assert len(table["step"]) == kinds * (3 + 1)  # three steps on the test set, the last on both splits
    assert {s for s, split in zip(table["step"], table["split"], strict=True) if split == "train"} == {6}
    assert all(0 <= a <= 1 for a in table["accuracy"])


def test_no_norm_has_one_row_a_split(few_digits):
    table = run(few_digits, norm="none", evaluations=1).tables["evaluation"]
    assert table["statistics"] == ["none", "none"]
    assert table["split"] == ["test", "train"]


def test_annealing_ends_near_zero_and_seeds_pair(few_digits, plain):
    constant = plain.tables["training"]
    annealed = run(few_digits, schedule="annealed").tables["training"]
    np.testing.assert_allclose(annealed["learning_rate"], 1e-3 * (1 - np.arange(6) / 6))
    assert set(constant["learning_rate"]) == {1e-3}
    assert annealed["loss"][0] == constant["loss"][0]  # same weights, same first batch
    assert run(few_digits, seed=1).tables["training"]["loss"][0] != constant["loss"][0]


def test_divergence_is_a_result(few_digits):
    result = run(few_digits, norm="none", learning_rate=1e20, epochs=3, relu_on_logits=False)
    assert result.outcome.startswith("diverged at step ")
    step = int(result.outcome.split()[-1])
    losses = result.tables["training"]["loss"]
    assert not losses[step - 1] <= 1e3 * losses[0]
    assert all(loss <= 1e3 * losses[0] for loss in losses[: step - 1])


def test_images_are_standardised_by_the_training_set(few_digits):
    data = DeviceData(few_digits, torch.float32, torch.device("cpu"))
    x = few_digits.x_train.astype(np.float64)
    expected = (few_digits.x_test - x.mean((0, 1, 2))) / x.std((0, 1, 2))
    images, labels = data.test.batch(torch.arange(40)[:, None])
    np.testing.assert_allclose(images.permute(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(labels[:, 0], few_digits.y_test)
    assert images.is_contiguous(memory_format=torch.channels_last)


@given(st.integers(1, 100_000), st.integers(1, 60))
def test_evaluation_steps(total, count):
    steps = evaluation_steps(total, count)
    assert steps == sorted(set(steps))
    assert steps[-1] == total
    assert steps[0] == (1 if count > 1 else total)
    assert len(steps) <= count


@given(st.integers(1, 100_000), st.integers(1, 60))
def test_evenly_spaced_evaluation_steps(total, count):
    steps = evaluation_steps(total, count, "linear")
    assert steps == sorted(set(steps))
    assert (steps[0] >= 1, steps[-1]) == (True, total)
    assert len(steps) == min(count, total)
    gaps = np.diff([0, *steps])
    assert gaps.max() - gaps.min() <= 2  # each step is rounded by itself
    assert abs(gaps - total / len(steps)).max() <= 1


def test_a_run_is_evaluated_where_its_spacing_says(few_digits):
    for spacing, expected in (("linear", [2, 4, 6]), ("log", [1, 2, 6])):
        result = run(few_digits, spacing=spacing, statistics=["moving"])
        assert sorted(set(result.tables["evaluation"]["step"])) == expected


def test_purposes_of_a_seed_are_independent():
    draws = {tuple(torch.rand(2, generator=generator(s, p)).tolist()) for s in range(20) for p in range(3)}
    assert len(draws) == 60


def test_settings_of_the_process_are_given_back():
    def settings():
        return torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32

    before = settings()
    with pytest.raises(KeyError), deterministic():  # noqa: PT012 - the body is what raises
        assert settings() == (True, False)
        raise KeyError
    assert settings() == before == (False, True)


def test_misuse_is_named(few_digits):
    with pytest.raises(ValueError, match="device is 'tpu'; allowed here: cpu"):
        train_run(spec(), few_digits, device="tpu")
    with pytest.raises(ValueError, match="dataset is 'other'; allowed: 'digits'"):
        train_run(spec(), dataclasses.replace(few_digits, name="other"))
