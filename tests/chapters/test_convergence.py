"""The convergence chapter on planted tables: times to a target, best rates, and what a step costs."""

from __future__ import annotations

import math

import matplotlib
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bnstudy.analysis import NotMeasuredError
from bnstudy.chapters.convergence import figures
from bnstudy.chapters.convergence import rules as cv
from bnstudy.chapters.convergence.figures import NAMES
from bnstudy.chapters.convergence.page import ConvergenceChapter
from bnstudy.chapters.convergence.rules import C4, C13, TARGET
from bnstudy.chapters.convergence.study import ConvergenceStudy
from tests import notebooks

matplotlib.use("agg")

SEEDS = range(5)
STEPS = (10, 20, 30, 40)
# Accuracy at STEPS by arm and rate; seed s is better by a thousandth of s.
CURVES = {
    ("none", "0.001"): (0.2, 0.3, 0.50, 0.65),
    ("none", "0.01"): (0.3, 0.61, 0.40, 0.45),
    ("batch", "0.001"): (0.3, 0.5, 0.61, 0.69),
    ("batch", "0.01"): (0.62, 0.7, 0.75, 0.80),
}
SECONDS = {"none": 1.0, "in place": 2.0, "with the step": 2.5, "after the step": 3.0, "never": 1.9}


def whole(page):
    return page.you_see() + page.answer()


def tables(curves=CURVES, diverged=()):
    """A study's tables; runs of ``diverged`` (arm, rate, seed) have no evaluations after the first two."""
    evaluation, runs = [], []
    for (arm, rate), curve in curves.items():
        for seed in SEEDS:
            run = {"run": f"{arm} {rate} {seed}", "arm": arm, "learning_rate": rate, "seed": seed}
            gone = (arm, rate, seed) in diverged
            runs.append({**run, "diverged": int(gone)})
            for step, accuracy in list(zip(STEPS, curve, strict=True))[: 2 if gone else None]:
                for split, more in (("test", 0.0), ("train", 0.2)):
                    place = {**run, "step": step, "split": split}
                    evaluation.append({**place, "accuracy": accuracy + seed / 1000 + more})
    # A round takes a little longer with every seed, for all alike; the second one half as long again.
    cost = [
        {"arm": arm, "seed": seed, "round": number, "seconds_per_step": seconds * (1 + seed / 100) * load}
        for arm, seconds in SECONDS.items()
        for seed in SEEDS
        for number, load in ((1, 1.0), (2, 1.5))
    ]
    return {name: pd.DataFrame(t) for name, t in (("runs", runs), ("evaluation", evaluation), ("cost", cost))}


def chapter(made):
    study = ConvergenceStudy(dataset="digits", rates=[0.001, 0.01], evaluations=4)
    return ConvergenceChapter(made, study, ["aa", "bb"])


def test_each_arm_gets_the_rate_with_the_best_end_and_not_the_best_moment():
    made = tables()
    assert {arm: cv.best_rate(made, arm) for arm in ("none", "batch")} == {"none": "0.001", "batch": "0.01"}


def test_a_rate_at_which_a_seed_diverged_is_no_candidate():
    assert cv.best_rate(tables(diverged=[("batch", "0.01", 3)]), "batch") == "0.001"
    everywhere = tables(diverged=[("batch", "0.01", 3), ("batch", "0.001", 1)])
    with pytest.raises(NotMeasuredError, match="arm 'batch' reached the last step"):
        cv.best_rate(everywhere, "batch")
    # The other arm's choice doesn't depend on it.
    assert cv.best_rate(everywhere, "none") == "0.001"


def test_the_time_to_the_target_is_the_first_evaluation_at_it_also_where_it_is_lost_again():
    made = tables()
    assert set(cv.time_to(made, "none", "0.01", 0.6, "step")) == {20}
    assert set(cv.time_to(made, "batch", "0.001", 0.6, "step")) == {30}
    # 0.5 is reached exactly: at the target counts.
    assert set(cv.time_to(made, "batch", "0.001", 0.5, "step")) == {20}


def test_a_seed_that_never_gets_there_counts_at_the_last_evaluation_and_is_counted():
    made = tables()
    # Seeds 3 and 4 reach 0.653 with their 3 and 4 thousandths; the others never.
    reached = cv.first_step_at(made, "none", "0.001", 0.653)
    assert reached.isna().tolist() == [True, True, True, False, False]
    assert cv.time_to(made, "none", "0.001", 0.653, "step").tolist() == [40] * 5
    # Also one that diverged long before, as if it had trained on.
    gone = tables(diverged=[("none", "0.001", 0)])
    assert cv.time_to(gone, "none", "0.001", 0.99, "step").tolist() == [40] * 5


def test_seconds_are_steps_times_the_mean_timed_step_of_the_same_seed():
    took = cv.time_to(tables(), "batch", "0.01", 0.6, "seconds")
    assert took.tolist() == pytest.approx([10 * 2.0 * 1.25 * (1 + seed / 100) for seed in SEEDS])


def test_the_rules_measure_what_is_planted():
    made = tables()
    (steps,) = C4.rules
    accuracy, seconds = C13.rules
    assert steps.measure(made).tolist() == pytest.approx([math.log2(40 / 10)] * 5)
    # The seeds' loads cancel: both arms of one seed were timed together.
    assert seconds.measure(made).tolist() == pytest.approx([math.log2(40 / 20)] * 5)
    assert accuracy.measure(made).tolist() == pytest.approx([0.80 - 0.65] * 5)


def test_the_page_says_who_got_there_and_both_readings():
    made = chapter(tables())
    said = whole(made)
    assert "A training step takes <" in said
    assert ">2.00 × [2.00, 2.00]<" in said  # a step, with over without; and the seconds to the target
    assert ">4.00 × [4.00, 4.00]<" in said
    assert "seeds without batch norm (learning rate 0.001)" in said
    table = made.target_table().set_index(["learning rate", "arm"])
    assert table.loc[("0.001", "without batch norm"), "seeds that got there"] == "5 of 5"
    assert table.loc[("0.01", "with batch norm"), "steps"] == "10 [10, 10]"
    choices = made.choices().set_index(["target", "learning rate"])
    assert "digits, all images for 2 epochs, over 5 seeds" in said
    # Both at 0.01: 20 steps of one second against 10 of two.
    assert choices.loc[(f"{TARGET:.0%}", "both at 0.01"), "seconds"] == "1.00 × [1.00, 1.00]"
    assert choices.loc[("70%", "each at its best"), "got there without batch norm"] == "0 of 5"
    # Nobody got to 0.7 without: by the end it had taken as many seconds, and there was more to come.
    assert choices.loc[("70%", "each at its best"), "seconds"] == "at least 1.00 × [1.00, 1.00]"
    assert choices.loc[("70%", "both at 0.001"), "steps"] == "not known"
    costs = made.cost_table().set_index("network")["over that without"]
    assert costs["updates after the step"] == "3.00 × [3.00, 3.00]"


def test_a_time_that_seeds_never_reached_is_a_bound_without_an_interval():
    # At 0.01 seeds 2 to 4 get to the target, at the last step; at 0.001 nobody does.
    late = {**CURVES, ("none", "0.001"): (0.2, 0.3, 0.4, 0.5), ("none", "0.01"): (0.2, 0.3, 0.4, 0.598)}
    table = chapter(tables(late)).target_table().set_index(["learning rate", "arm"])
    never, some = (table.loc[(rate, NAMES["none"])] for rate in ("0.001", "0.01"))
    assert list(never) == ["0 of 5", "> 40", "> 51.0"]
    assert list(some) == ["3 of 5", "at least 40", "at least 51.0"]
    assert table.loc[("0.01", NAMES["batch"]), "steps"] == "10 [10, 10]"


def test_without_a_best_rate_there_is_no_verdict_and_the_rest_is_shown():
    gone = [("none", "0.01", 2), *(("none", "0.001", seed) for seed in SEEDS)]
    made = chapter(tables(diverged=gone))
    assert {v.answer for v in made.verdicts.values()} == {"not measured yet"}
    assert "there is no best one" in whole(made)
    assert "C4, *steps*, can't be measured: arm 'none' reached the last step with every seed" in made.answer()
    table = made.table().set_index(["learning rate", "arm"])
    assert table.loc[("0.01", "without batch norm"), "diverged"] == "1 of 5"
    assert set(made.choices()["learning rate"]) == {"both at 0.001", "both at 0.01"}
    figures.accuracy_at_best(made.tables, made.best, TARGET)
    plt.close("all")


def test_figures_mark_those_that_never_got_there():
    made = tables()
    drawn = figures.times_to_target(made, ["0.001", "0.01"], 0.653)
    hollow = [line for line in drawn.axes[0].lines if line.get_markerfacecolor() == "none"]
    # Seeds 0 to 2 of the network without normalisation at 0.001, and all of it at 0.01.
    assert len(hollow) == 3 + 5
    assert {float(line.get_xdata()[0]) for line in hollow} == {40.0}
    panels = figures.accuracy_by_rate(made, ["0.001", "0.01"], 0.6).axes
    assert [panel.get_title() for panel in panels] == ["learning rate 0.001", "learning rate 0.01"]
    steps, seconds = figures.accuracy_at_best(made, {"none": "0.001", "batch": "0.01"}, 0.6).axes
    assert list(steps.lines[1].get_xdata()) == list(STEPS)
    mean = 2.0 * 1.25 * 1.02
    assert list(seconds.lines[1].get_xdata()) == pytest.approx([step * mean for step in STEPS])
    assert len(figures.step_cost(made).axes[0].get_yticklabels()) == len(SECONDS)
    plt.close("all")


def test_the_notebook_trains_what_it_shows(tmp_path):
    parameters = (
        "dataset: digits\ntrain_size: 32\nseeds: 2\nrates: [0.01]\nepochs: 1\nbatch_size: 16\nevaluations: 2"
    )
    shown = notebooks.execute("convergence", tmp_path, parameters)
    assert sum("image/svg+xml" in data for data in shown) == 4
    texts = [data.get("text/markdown", "") for data in shown]
    assert any("rules: C4 is " in text and "C13 is " in text for text in texts)
