"""The covariate-shift chapter on planted tables: what it selects, compares and says."""

from __future__ import annotations

import itertools
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bnstudy.chapters.covariate_shift import figures
from bnstudy.chapters.covariate_shift import rules as cs
from bnstudy.chapters.covariate_shift.page import CovariateShiftChapter
from bnstudy.chapters.covariate_shift.study import CovariateShiftStudy
from tests.chapters.test_explosion import tables as exploding

matplotlib.use("agg")

STEPS = (1, 3, 10)
TRAININGS = ("sgd 0.1", "adam 0.01")
SHIFT = {"none": 0.2, "batch": 0.4, "noisy batch": 0.8}
ACCURACY = {"none": 0.3, "batch": 0.6, "noisy batch": 0.5}


def tables(shift=SHIFT, accuracy=ACCURACY, seeds=5):
    """A study's tables: constant values by arm, spread a little over seeds; Adam's shift is always 0.1."""
    rng = np.random.default_rng(4)
    found: dict[str, list[dict]] = {name: [] for name in (*probe_names(), "training", "evaluation")}
    for arm, training, seed in itertools.product(shift, TRAININGS, range(seeds)):
        run = {"run": f"{arm} {training} {seed}", "arm": arm, "training": training, "seed": seed}
        kinds = ["conv"] if arm == "none" else ["conv", "norm"]
        layers = [f"blocks.conv{i}.{kind}" for i in (1, 2, 3) for kind in kinds]
        level = 0.1 if training == "adam 0.01" else shift[arm]
        for step, layer in itertools.product(STEPS, layers):
            noise = 1 + 0.01 * rng.normal()
            first, norm = "conv1" in layer, layer.endswith("norm")
            ics = 0.0 if first and not norm else 7.0 if norm else level * noise
            quantities = {
                "internal_covariate_shift": {"ics_relative": ics, "cosine": 1 - ics / 10},
                # Drift is half a standard deviation, whatever the scale.
                "activation_drift": {"output_wasserstein": 1.5 * noise, "output_std": 3 * noise},
                "gaussianity": {
                    f"{stage}_{quantity}": value * noise
                    for stage in (("normalised", "output", "activated") if norm else ("output",))
                    for quantity, value in (
                        ("skewness", 0.9),
                        ("excess_kurtosis", 1),
                        ("normal_distance", 0.2),
                    )
                },
            }
            for name, values in quantities.items():
                place = {**run, "step": step, "layer": layer}
                found[name] += [{**place, "quantity": q, "value": v} for q, v in values.items()]
        for step in STEPS:
            place = {**run, "step": step, "layer": None}
            whole = {"loss_min": 1.0, "loss_max": 1.25, "beta_smoothness": 20.0 + rng.normal()}
            found["gradient_predictiveness"] += [
                {**place, "quantity": q, "value": v} for q, v in whole.items()
            ]
            health = {**place, "quantity": "total_norm", "value": 1 + 0.01 * rng.normal()}
            found["gradient_health"].append(health)
        found["training"] += [{**run, "step": s, "loss": float(s)} for s in range(1, 11)]
        reached = accuracy[arm] + 0.001 * rng.normal()
        found["evaluation"] += [
            {**run, "step": 10, "split": split, "accuracy": reached} for split in ("test", "train")
        ]
    return {name: pd.DataFrame(lines) for name, lines in found.items()}


def probe_names():
    return CovariateShiftStudy().base()["probes"]


def chapter(made, **parameters):
    study = CovariateShiftStudy(
        dataset="digits", sgd_rates=[0.1], adam_rates=[0.01], probed_steps=3, **parameters
    )
    return CovariateShiftChapter(made, study, ["aa", "bb"])


def test_only_convolutions_behind_the_first_are_compared():
    values = cs.shift(tables())
    assert set(values.index.unique("layer")) == {"conv2", "conv3"}
    mean = cs.by_run(values)
    for arm, planted in SHIFT.items():
        assert cs.over_seeds(mean, arm, "sgd 0.1").to_numpy() == pytest.approx([planted] * 5, rel=0.02)


def test_drift_is_in_proportion_to_the_spread_also_where_rows_are_out_of_order():
    made = tables()
    assert cs.drift(made).to_numpy() == pytest.approx(0.5)
    made["activation_drift"] = made["activation_drift"].sample(frac=1, random_state=0)
    assert cs.drift(made).to_numpy() == pytest.approx(0.5)
    assert len(cs.drift(made)) == 3 * 2 * 5 * 3 * 3


def test_a_point_of_the_learning_curve_is_the_mean_since_the_one_before():
    curve = cs.learning_curve(tables())
    one = cs.over_seeds(curve, "none", "sgd 0.1").xs(0, level="seed")
    assert one.to_dict() == {1: 1.0, 3: 2.5, 10: 7.0}


def test_more_shift_and_more_accuracy_are_counted_by_their_intervals():
    made = chapter(tables())
    counts = re.findall(r">(\d+)</a>", made.noisy())
    # More shift than without normalisation with SGD alone, more accuracy in both trainings.
    assert "larger relative shift than the network without batch norm in <" in made.noisy()
    assert counts == ["2", "1", "2", "1"]
    assert re.findall(r">(\d+)</a>", made.noisy("zh")) == counts
    said = made.raised()
    assert said in made.answer()
    # More shift than without normalisation, both at once, and more shift than with batch norm alone.
    assert said.count("(sgd 0.1)") == 3
    assert "(sgd 0.1, adam 0.01)" in said
    less = chapter(tables(accuracy={**ACCURACY, "noisy batch": 0.2})).raised()
    assert less.count("(sgd 0.1)") == 2
    assert "adam" not in less


def test_the_noise_table_is_paired_by_seed():
    line = chapter(tables()).noise().set_index("training").loc["sgd 0.1"]
    assert line["relative shift, noisy against “without batch norm”"].startswith(("4.0", "3.9"))
    assert line["relative shift, noisy against “batch norm”"].startswith(("2.0", "1.9"))
    assert line["test accuracy, noisy against “batch norm”"].startswith(("-10.", "-9.9"))


def test_other_choices_do_not_move_what_is_judged():
    made = chapter(tables())
    choices = made.choices().set_index("choice")
    assert list(choices.index) == ["as judged", "convolutions alone", *TRAININGS]
    rules = made.verdicts["C2"].findings
    cosine = choices["C2: backward sees what forward saw"]
    assert cosine["as judged"].startswith(f"{rules[1].effect.mean:.3f} ")
    # Normalisation layers were planted far off; without them the arms differ by their own shift alone.
    own = (0.2 - 0.4) / 10 * 2 / 3 / 2
    assert float(cosine["convolutions alone"].split()[0]) == pytest.approx(own, abs=1e-3)
    assert choices["C3: symmetric"]["convolutions alone"] == "–"


def test_layers_that_a_probe_did_not_see_are_named():
    made = tables()
    assert chapter(made).coverage() == ""
    table = made["gaussianity"]
    made["gaussianity"] = table[(table["arm"] != "batch") | (table["layer"] != "blocks.conv2.norm")]
    said = chapter(made).coverage()
    assert said in chapter(made).answer()
    assert "C3 rests on <" in said
    assert "(missing: conv2.norm)" in said
    assert "C2" not in said


def test_smoothness_and_shape_are_stated_apart_from_the_shift():
    made = tables()
    flat = made["gradient_predictiveness"]
    without = flat["arm"] == "none"
    flat.loc[without & (flat["quantity"] == "loss_max"), "value"] = 1.75  # a range of 0.75 against 0.25
    constant = flat["quantity"] == "beta_smoothness"
    flat.loc[without & constant, "value"] = (
        2 * flat.loc[flat["arm"].eq("batch") & constant, "value"].to_numpy()
    )
    page = chapter(made)
    smoother, shape = (re.sub("<[^>]+>", "", said) for said in (page.smoother(), page.shape()))
    assert "the loss ranges 3.00 [3.00, 3.00] times as widely without batch norm" in smoother
    assert "beta-smoothness is 2.00 [2.00, 2.00] times as large" in smoother
    # Planted: 0.2, 0.9 and 1, but for a hundredth of noise.
    distance, skewness, kurtosis = (
        float(re.search(f"{said} (-?[0-9.]+) \\[", shape)[1]) for said in ("lie", "skewness is", "kurtosis")
    )
    assert (distance, skewness, kurtosis) == pytest.approx((0.2, 0.9, 1.0), rel=0.02)
    # What the first figure shows is the shift alone.
    assert "gradient" not in page.finding()
    # The Chinese page quotes the same numbers.
    quoted = page.smoother("zh") + page.shape("zh")
    assert {"3.00 [3.00, 3.00]", "2.00 [2.00, 2.00]"} <= set(re.findall(r"[0-9.]+ \[[^\]]+\]", quoted))
    assert page.shape("zh").count("<a ") == page.shape().count("<a ") == 3


def test_smoothness_needs_both_arms_and_shape_batch_norm():
    two = {arm: SHIFT[arm] for arm in ("none", "batch")}
    partial = chapter(tables(shift=two), norms=["none", "batch"])
    assert partial.smoother() == ""
    assert "standard Gaussian" in partial.shape()
    plain = {"none": SHIFT["none"]}
    assert chapter(tables(shift=plain), norms=["none"]).shape() == ""


def test_verdicts_need_every_arm():
    assert chapter(tables()).verdicts["C3"].answer == "refuted"
    assert chapter(tables()).verdicts["C1"].answer == "not measured yet"
    two = {arm: SHIFT[arm] for arm in ("none", "batch")}
    partial = chapter(tables(shift=two), norms=["none", "batch"])
    assert {v.answer for v in partial.verdicts.values()} == {"not measured yet"}
    assert partial.noise().empty
    assert "C2 is not measured yet" in partial.answer()
    # The study's parameters, whatever they are.
    assert "digits, 64 images for 2 epochs, over" in chapter(tables(), train_size=64, epochs=2).answer()
    # Four rules of C2 and C3, and one of C1's two.
    assert partial.answer().count("can't be measured: the verdicts compare all three arms.") == 5
    assert len(partial.table()) == 4


def test_each_part_of_a_claim_leads_to_the_records_of_its_own_study():
    study = CovariateShiftStudy(dataset="digits", sgd_rates=[0.1], adam_rates=[0.01], probed_steps=3)
    alone = CovariateShiftChapter(tables(), study, ["aa"]).answer()
    assert "C1, *training explodes without normalisation*, can't be measured: the study `explosion`" in alone
    both = CovariateShiftChapter(tables(), study, ["aa"], {"explosion": exploding()}).answer()
    (part, other) = (line for line in both.splitlines() if line.startswith("- C1"))
    assert 'href="explosion.html#records"' in part
    assert 'href="covariate_shift.html#records" title="From 1 record: aa"' in other


def test_the_slider_opens_where_the_arms_shift_most_unlike():
    # Adam's shift is the same for all arms; SGD's a fifth to four fifths, which is two doublings.
    assert chapter(tables()).apart() == pytest.approx([2.0, 0.0], abs=0.05)


def test_every_figure_has_an_arm_a_curve_and_a_training_a_panel():
    made = tables()
    drawn = figures.over_training(cs.drift(made), "drift")
    assert [axis.get_title() for axis in drawn.axes] == list(TRAININGS)
    assert [len(axis.lines) for axis in drawn.axes] == [3, 3]
    frames = list(chapter(made).frames())
    assert [frame.label for frame in frames] == list(TRAININGS)
    assert [axis.get_ylabel() for axis in frames[0].figure.axes[::2]] == ["conv2", "conv3"]
    shapes = figures.normality(made["gaussianity"])
    assert [axis.get_ylabel() for axis in shapes.axes] == ["absolute skewness", "excess kurtosis", "distance"]
    # The slider changes the training, not the axes.
    for one, other in zip(frames[0].figure.axes, frames[1].figure.axes, strict=True):
        assert one.get_ylim() == other.get_ylim()
    plt.close("all")
