"""The chapter on the training flag on planted tables: what it selects, compares and says."""

from __future__ import annotations

import itertools
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.chapters.train_flag import figures
from bnstudy.chapters.train_flag import rules as tf
from bnstudy.chapters.train_flag.page import TrainFlagChapter
from bnstudy.chapters.train_flag.study import TrainFlagStudy
from tests import notebooks

matplotlib.use("agg")

SIZES = (1, 10, 100)
# Accuracy by size. False: the same whatever the batch.
FALSE = 0.6
TRUE = {"shuffled": (0.2, 0.6, 0.7), "sorted by class": (0.2, 0.1, 0.3)}
LEAKED = {"shuffled": (0.4, 0.6, 0.65), "sorted by class": (0.3, 0.2, 0.1)}


def whole(page):
    return page.you_see() + page.answer()


def tables(sizes=SIZES, seeds=range(5)):
    rng = np.random.default_rng(3)
    lines = []
    for seed, order in itertools.product(seeds, tf.ORDERS):
        fixed = FALSE + 0.001 * rng.normal()
        for size, true, leaked in zip(SIZES, TRUE[order], LEAKED[order], strict=True):
            reached = {"moving": fixed, "batch": true, "leaked": leaked}
            lines += [
                {"run": f"run {seed}", "seed": seed, "order": order, "test_batch_size": size}
                | {"statistics": s, "loss": 1.0, "accuracy": value + 0.004 * rng.normal() * (s != "moving")}
                for s, value in reached.items()
                if size in sizes
            ]
    return {"flag": pd.DataFrame(lines).sample(frac=1, random_state=2)}


def chapter(made, sizes=SIZES):
    study = TrainFlagStudy(dataset="digits", test_batches=sizes)
    return TrainFlagChapter(made, study, ["aa", "bb"])


def plain(text):
    return re.sub(r"<a [^>]*>|</a>", "", text)


def test_flags_are_compared_within_seed_order_and_size():
    made = tables()
    held = {(r.statistics, r.order, r.test_batch_size, r.seed): r.accuracy for r in made["flag"].itertuples()}
    for statistics, order, size in itertools.product(("batch", "leaked"), tf.ORDERS, SIZES):
        gaps = tf.against_false(made, statistics, order, size)
        assert len(gaps) == 5
        for seed, gap in gaps.items():
            place = (order, size, seed)
            assert gap == pytest.approx(held["moving", *place] - held[statistics, *place])


def test_what_was_not_measured_is_named():
    with pytest.raises(NotMeasuredError, match="'test_batch_size': 7"):
        tf.flag_accuracy(tables(), "batch", "shuffled", 7)


def test_the_answer_counts_sizes_by_their_intervals():
    said = plain(whole(chapter(tables())))
    assert "C10 is supported" in said
    assert "Of 3 sizes" in said
    assert "shuffled, True is worse than False at 1 (1) and better at 1 (100)" in said
    assert "sorted by class, True is worse than False at 3 (1, 10, 100) and better at 0" in said


def test_the_leak_is_told_at_its_worst():
    shuffled, by_class = plain(chapter(tables()).leak()).splitlines()
    assert "loses accuracy by the pass at 1 (1), and gains at 1 (100)" in shuffled
    assert "in test batches of 1, the pass changes it by -2" in shuffled
    assert "loses accuracy by the pass at 3 (1, 10, 100), and gains at 0." in by_class
    assert re.search(r"in test batches of 100, the pass changes it by -(49|50)\.\d percentage", by_class)


def test_without_the_sizes_of_the_rules_there_is_no_verdict_and_the_rest_is_shown():
    few = chapter(tables(sizes=(1, 10)), sizes=(1, 10))
    assert few.verdicts["C10"].answer == "not measured yet"
    said = few.answer()
    assert "C10 is not measured yet" in said
    assert "can't be measured: no rows in table 'flag' with {" in said
    assert "'test_batch_size': 100}" in said
    assert len(few.table()) == 4
    assert len(few.leak().splitlines()) == 2


def test_the_table_has_a_line_an_order_and_size():
    table = chapter(tables()).table().set_index(["order", "images a test batch"])
    line = table.loc[("sorted by class", 100)]
    assert line["False"].startswith(("60.", "59."))
    assert line["True"].startswith(("30.", "29."))
    assert line["False after True"].startswith(("10.", "9."))
    assert line["False minus True, points"].startswith(("+30.", "+29."))


def test_the_figure_has_a_panel_an_order_and_a_curve_a_flag():
    made = tables()
    drawn = figures.accuracy_by_size(made["flag"])
    assert [axis.get_title() for axis in drawn.axes] == list(tf.ORDERS)
    for axis, order in zip(drawn.axes, tf.ORDERS, strict=True):
        curves = [line for line in axis.lines if len(line.get_xdata()) == len(SIZES)]
        assert [list(line.get_xdata()) for line in curves] == [pytest.approx(list(SIZES))] * 3
        for line, statistics in zip(curves, ("moving", "batch", "leaked"), strict=True):
            means = [tf.flag_accuracy(made, statistics, order, size).mean() for size in SIZES]
            assert list(line.get_ydata()) == pytest.approx(means)
    plt.close("all")


def test_the_slider_changes_the_size_and_not_the_axis():
    frames = list(chapter(tables()).frames())
    assert [frame.label for frame in frames] == ["1 image", "10 images", "100 images"]
    limits = {frame.figure.axes[0].get_ylim() for frame in frames}
    assert len(limits) == 1
    large = [line for line in frames[-1].figure.axes[0].lines if line.get_markersize() == 7]
    heights = [float(line.get_ydata()[0]) for line in large]
    assert heights == pytest.approx([0.6, 0.7, 0.65, 0.6, 0.3, 0.1], abs=0.01)
    assert re.search(r"sorted by class, False after True: (9|10)\.\d %", frames[-1].text)
    plt.close("all")


def test_the_slider_opens_where_the_flags_part_most():
    made = chapter(tables())
    # Of False 0.6: True is off by 0.4 and 0.4, by 0 and 0.5, by 0.1 and 0.3.
    assert made.apart() == pytest.approx([0.4, 0.25, 0.2], abs=0.01)
    turned = tables()
    of_true = (turned["flag"]["statistics"] == "batch") & (turned["flag"]["test_batch_size"] == 100)
    turned["flag"].loc[of_true, "accuracy"] = 0.0
    assert 'max="2" step="1" value="2"' in chapter(turned).slider("sizes", "Test batch")
    assert 'value="0"' in made.slider("sizes", "Test batch")


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "judged"), [("[1, 100]", True), ("[64]", False)])
def test_the_chapter_trains_what_it_shows(tmp_path, sizes, judged):
    small = f"dataset: digits\ntrain_size: 128\nseeds: 2\nepochs: 1\ntest_batches: {sizes}\n"
    shown = notebooks.execute("train_flag", tmp_path, small)
    assert sum("image/svg+xml" in data for data in shown) == 1
    texts = [data.get("text/markdown", "") + data.get("text/html", "") for data in shown]
    (answer,) = (text for text in texts if "C10 is " in text and "Measured on" in text)
    assert ("C10 is not measured yet" in answer) != judged
    assert any("False after True" in text and 'class="slider"' in text for text in texts)
