"""The regularisation chapter on planted tables: what it selects, pairs and says, and that it runs."""

from __future__ import annotations

import itertools
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bnstudy.chapters.regularisation import figures
from bnstudy.chapters.regularisation import rules as reg
from bnstudy.chapters.regularisation.page import RegularisationChapter
from bnstudy.chapters.regularisation.study import RegularisationStudy
from tests import notebooks

matplotlib.use("agg")

# Test accuracy with all the data, with moving averages where there are any; a tenth of the data has 0.2 less.
TEST = {
    "none": 0.60,
    "l2": 0.62,
    "dropout": 0.55,
    "batch": 0.70,
    "batch + l2": 0.71,
    "batch + dropout": 0.66,
    "dropout + batch": 0.50,
}
# What precise statistics add to it.
PRECISE = {"batch": 0.02, "batch + l2": 0.03, "batch + dropout": 0.06, "dropout + batch": 0.12}
GAP = 0.1


def whole(page):
    return page.you_see() + page.answer()


def evaluation(seeds=5):
    rng = np.random.default_rng(6)
    lines = []
    for (arm, test), (fraction, less, step), seed in itertools.product(
        TEST.items(), (("all", 0.0, 20), ("a tenth", 0.2, 30)), range(seeds)
    ):
        run = {"arm": arm, "fraction": fraction, "seed": seed}
        # A seed moves all its arms alike, and each a little on its own.
        reached = test - less + 0.01 * seed + 0.0001 * rng.uniform(-1, 1)
        for split, more in (("test", 0.0), ("train", GAP)):
            plain = {**run, "split": split, "statistics": "moving" if arm in PRECISE else "none"}
            lines.append({**plain, "step": step, "accuracy": reached + more})
            if split == "test":
                lines.append({**plain, "step": 10, "accuracy": 0.01})
            if arm in PRECISE:
                precise = {**plain, "statistics": "precise", "step": step}
                lines.append({**precise, "accuracy": reached + more + PRECISE[arm]})
    return {"evaluation": pd.DataFrame(lines)}


def chapter(tables, **parameters):
    study = RegularisationStudy(dataset="digits", train_size=512, small_size=64, **parameters)
    return RegularisationChapter(tables, study, ["aa", "bb"])


def test_accuracy_is_that_of_each_fractions_last_step():
    tables = evaluation()
    by_hand = {}
    for line in tables["evaluation"].to_dict("records"):
        if line["split"] == "test" and line["statistics"] != "precise" and line["step"] != 10:
            by_hand[line["arm"], line["fraction"], line["seed"]] = line["accuracy"]
    assert reg.accuracy(tables).to_dict() == by_hand
    assert len(by_hand) == 7 * 2 * 5


def test_rows_in_any_order_give_the_same_gap():
    tables = evaluation()
    tables["evaluation"] = tables["evaluation"].sample(frac=1, random_state=0)
    gaps = reg.gap(tables)
    assert len(gaps) == 7 * 2 * 5
    assert gaps.to_numpy() == pytest.approx(GAP)


def test_gains_are_against_the_same_network_without_the_regularisation():
    added = reg.gains(evaluation()).groupby(["arm", "fraction"]).mean()
    planted = {
        "l2": 0.62 - 0.60,
        "dropout": 0.55 - 0.60,
        "batch + l2": 0.71 - 0.70,
        "batch + dropout": 0.66 - 0.70,
        "dropout + batch": 0.50 - 0.70,
    }
    for (arm, _), gained in added.items():
        assert gained == pytest.approx(planted[arm], abs=1e-3)
    assert set(added.index.unique("arm")) == set(planted)


def test_the_variance_shift_is_what_recalibration_gains_beyond_batch_norms_own():
    beyond = reg.variance_shift(evaluation())
    for arm, planted in PRECISE.items():
        if arm != "batch":
            assert reg.of(beyond, arm, "all").to_numpy() == pytest.approx([planted - PRECISE["batch"]] * 5)
    assert "batch" not in beyond.index.unique("arm")


def test_the_chinese_page_has_the_same_variance_shift():
    made = chapter(evaluation())
    english, chinese = (re.findall(r">([^<]+)</a>", said) for said in (made.shift(), made.shift_in_chinese()))
    assert [number.replace("个百分点", "percentage points") for number in chinese] == english
    assert english
    assert "：批归一化 → dropout 为 " in made.shift_in_chinese()


def test_the_answer_says_what_each_rule_found():
    made = chapter(evaluation())
    # Batch norm is 8 points ahead of L2, and gains 1 from it; the gap is the same without it.
    assert [f.answer for f in made.verdicts["C5"].findings] == ["refuted", "supported", "refuted"]
    said = whole(made)
    assert "rules: C5 is refuted</summary>" in said
    assert said.count("[") >= 9
    assert "with 512 images" in said
    assert "with 64 images" in said
    # L2 gains 1 point and dropout, in either order, less.
    assert re.search(r"the better of L2 and dropout changes the test accuracy by <[^>]*>\+1\.0 ", said)


def test_runs_that_diverged_leave_their_arm_out_and_say_so():
    tables = evaluation()
    table = tables["evaluation"]
    tables["evaluation"] = table[
        (table["arm"] != "dropout") & ((table["arm"] != "none") | (table["seed"] > 1))
    ]
    made = chapter(tables)
    assert made.verdicts["C5"].answer == "not measured yet"
    assert "without a partner to compare with: 0, 1" in made.answer()
    seeds = made.table().set_index(["training set", "arm"])["seeds"]
    assert seeds["512 images", "without batch norm"] == "3"
    assert seeds["512 images", "dropout"] == "0"
    for figure in drawn(made, tables):
        assert figure.axes
    plt.close("all")


def drawn(made, tables):
    return (
        figures.generalisation(reg.accuracy(tables), reg.gap(tables), made.fractions),
        figures.gained(reg.gains(tables), made.fractions),
        figures.recalibrated(reg.recalibration(tables), made.fractions),
        figures.training_against_test(reg.accuracy(tables, "train"), reg.accuracy(tables), made.fractions),
    )


def test_figures_show_every_seed_of_every_arm_in_percent():
    tables = evaluation()
    generalisation, gained, recalibrated, fit = drawn(chapter(tables), tables)
    for figure, panels, arms in ((generalisation, 4, 7), (gained, 2, 5), (recalibrated, 2, 4)):
        assert len(figure.axes) == panels
        for axis in figure.axes:
            assert sum(len(line.get_xdata()) == 5 for line in axis.lines) == arms
    seeds = next(line for line in generalisation.axes[0].lines if len(line.get_xdata()) == 5)
    assert seeds.get_xdata() == pytest.approx(100 * reg.of(reg.accuracy(tables), "none", "all").to_numpy())
    assert sum(len(line.get_xdata()) == 5 for line in fit.axes[0].lines) == 7
    plt.close("all")


TINY = """
dataset: digits
train_size: 64
small_size: 32
precise_images: 32
epochs: 1
small_epochs: 1
seeds: 2
batch_size: 32
"""


def test_the_chapter_trains_what_it_shows(tmp_path):
    shown = notebooks.execute("regularisation", tmp_path, TINY)
    assert len(list((tmp_path / "runs").iterdir())) == 28
    assert sum("image/svg+xml" in data for data in shown) == 4
    assert sum("C5 is " in data.get("text/markdown", "") for data in shown) == 1
