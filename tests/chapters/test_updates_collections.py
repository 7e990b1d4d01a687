"""The chapter on update schedules on planted tables: what it compares, times and says."""

from __future__ import annotations

import itertools
import math
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.chapters.updates_collections import figures
from bnstudy.chapters.updates_collections import rules as uc
from bnstudy.chapters.updates_collections.page import UpdatesCollectionsChapter
from bnstudy.chapters.updates_collections.study import UpdatesCollectionsStudy
from tests import notebooks

matplotlib.use("agg")

SEEDS = range(5)
STEPS = (1, 4, 16)
SECONDS = {"none": 0.5, "in place": 1.0, "with the step": 1.0, "after the step": 1.5, "never": 0.9}
ACCURACY = {"in place": 0.6, "with the step": 0.6, "after the step": 0.62, "never": 0.1}


def whole(page):
    return page.you_see() + page.answer()


def tables(seconds=SECONDS, tensorflow=True):
    """A study's tables: arms that train alike, in which every third seed's first round is slow."""
    rng = np.random.default_rng(5)
    found = {name: [] for name in ("runs", "training", "weights", "evaluation", "cost")}
    plans = [*uc.ARMS, *(["TensorFlow, in place", "TensorFlow, with the step"] if tensorflow else [])]
    for seed in SEEDS:
        losses = rng.normal(size=20)
        for plan in plans:
            run = {"run": f"{plan} {seed}", "arm": plan, "seed": seed}
            found["runs"].append({**run, "outcome": "finished", "diverged": 0})
            found["training"] += [{**run, "step": i + 1, "loss": loss} for i, loss in enumerate(losses)]
            for step, statistics in itertools.product(STEPS, ("moving", "batch")):
                arm = plan.removeprefix("TensorFlow, ")
                reached = (ACCURACY[arm] if statistics == "moving" else 0.7) * step / STEPS[-1]
                loss = float(step) if statistics == "batch" else step + ACCURACY[arm]
                found["evaluation"] += [
                    {**run, "step": step, "split": split, "statistics": statistics}
                    | {"accuracy": reached + 0.001 * seed, "loss": loss}
                    for split in ("test", "train")
                ]
            if plan.startswith("TensorFlow"):
                # The table's own arm, without the prefix: a name that the timed runs have too.
                took = 7.0 if plan.endswith("in place") else 3.5
                cost = {"run": run["run"], "seed": seed, "arm": plan.removeprefix("TensorFlow, ")}
                found["cost"].append({**cost, "round": 1, "seconds_per_step": took + 0.01 * seed})
            else:
                found["weights"] += [
                    {**run, "step": step, "parameter": name, "digest": f"{seed}{step}{name}"}
                    for step, name in itertools.product(STEPS, ("weight", "beta"))
                ]
        run = {"run": f"step cost {seed}", "arm": "step cost", "seed": seed}
        found["runs"].append({**run, "outcome": "finished", "diverged": 0})
        for number, (arm, took) in itertools.product((1, 2, 3), seconds.items()):
            noise = 1 + 0.001 * rng.normal() + (0.3 if number == 1 and seed % 3 == 0 else 0)
            found["cost"].append({**run, "arm": arm, "round": number, "seconds_per_step": took * noise})
    return {name: pd.DataFrame(lines) for name, lines in found.items()}


def chapter(made, **parameters):
    study = UpdatesCollectionsStudy(dataset="digits", **parameters)
    return UpdatesCollectionsChapter(made, study, ["aa", "bb"])


def plain(text):
    return re.sub(r"<a [^>]*>|</a>", "", text)


def test_values_are_compared_seed_by_seed_and_place_by_place():
    made = tables()["weights"].sample(frac=1, random_state=1)
    changed = made["run"].eq("never 2") & made["parameter"].eq("beta") & made["step"].gt(1)
    made.loc[changed, "digest"] = "other"
    made = made[~(made["run"].eq("after the step 0") & made["step"].eq(4))]
    found = uc.agreement(made, uc.ARMS, "digest").set_index("arm")
    held = {(r.arm, r.seed, r.step, r.parameter): r.digest for r in made.itertuples()}
    for arm in uc.ARMS[1:]:
        places = {
            place for a, *place in map(list, held) for place in [tuple(place)] if a in ("in place", arm)
        }
        same = sum(("in place", *p) in held and held.get((arm, *p)) == held[("in place", *p)] for p in places)
        assert found.loc[arm].to_dict() == {"compared": len(places), "equal": same}
    assert found["equal"].to_dict() == {"with the step": 30, "after the step": 28, "never": 28}
    assert set(found["compared"]) == {30}


def test_the_smallest_difference_counts_and_so_does_a_loss_that_is_no_number():
    made = tables()["training"]
    at = made.index[made["run"].eq("with the step 1")]
    made.loc[at[3], "loss"] = np.nextafter(made.loc[at[3], "loss"], 9.0)
    made.loc[made["step"].eq(20) & made["seed"].eq(0), "loss"] = math.nan
    found = uc.agreement(made, uc.ARMS, "loss").set_index("arm")["equal"]
    assert found.to_dict() == {"with the step": 98, "after the step": 99, "never": 99}


@pytest.mark.parametrize("over_rounds", ["mean", "median", "min"])
def test_costs_are_those_of_the_runs_that_time_all_arms_in_turn(over_rounds):
    made = tables()
    ratio = uc.relative_cost(made, "after the step", "in place", over_rounds)
    sum_up = {"mean": np.mean, "median": np.median, "min": np.min}[over_rounds]
    for seed in SEEDS:
        took = {
            arm: sum_up(
                [
                    r.seconds_per_step
                    for r in made["cost"].itertuples()
                    if r.run == f"step cost {seed}" and r.arm == arm
                ]
            )
            for arm in ("after the step", "in place")
        }
        assert ratio[seed] == pytest.approx(math.log2(took["after the step"] / took["in place"]))
    # TensorFlow's steps have the same names of arms, and other times.
    without = uc.relative_cost(tables(tensorflow=False), "after the step", "in place", over_rounds)
    pd.testing.assert_series_equal(ratio, without)
    expected = [math.log2((7 + 0.01 * s) / (3.5 + 0.01 * s)) for s in SEEDS]
    assert uc.tensorflow_cost(made, "in place", "with the step").to_list() == pytest.approx(expected)


def test_a_cost_that_was_not_timed_is_named():
    with pytest.raises(NotMeasuredError, match="'arm': 'TensorFlow, never'"):
        uc.tensorflow_seconds(tables(), "never")


def test_the_answer_counts_what_is_equal_and_does_not_say_it_otherwise():
    said = plain(whole(chapter(tables(), tensorflow=False)))
    assert "C11 is refuted" in said
    assert "Training is the same under every arm" in said
    # What forgetting costs is the first thing said.
    assert said.index("10.2 % [10.0, 10.4]") < said.index("Training is the same")
    assert "losses of training steps, 300 of 300; digests of parameters, 90 of 90" in said
    assert "60.2 % [60.0, 60.4]" in said
    assert "10.2 % [10.0, 10.4]" in said
    assert "digits, all images for 1 epoch, over 5 seeds" in said
    made = tables()
    made["weights"].loc[3, "digest"] = "other"
    said = plain(whole(chapter(made, tensorflow=False)))
    assert "Training is not the same" in said


def test_what_no_update_reaches_is_told_from_what_it_does():
    table = chapter(tables()).agreement_table().set_index("equal to “in place”")
    assert list(table.columns) == list(uc.ARMS[1:])
    assert set(table.loc["test losses, batch statistics"]) == {"15 of 15"}
    moving = table.loc["test losses, moving averages"]
    assert moving.to_list() == ["15 of 15", "0 of 15", "0 of 15"]


def test_a_slow_round_moves_the_mean_and_not_the_median():
    made = tables({**SECONDS, "in place": 1.05})
    slow = made["cost"]["arm"].eq("in place") & made["cost"]["round"].eq(1)
    made["cost"].loc[slow, "seconds_per_step"] *= 3
    said = chapter(made).choices().iloc[:, 1]
    factors = [float(text.split(" ")[0]) for text in said]
    assert factors[0] > 1.5
    assert factors[1] == pytest.approx(1.05, abs=0.02)
    assert factors[2] == pytest.approx(1.05, abs=0.02)
    slower = chapter(made).verdicts["C11"].findings[1]
    assert slower.effect.mean == pytest.approx(np.mean(uc.relative_cost(made, "in place", "with the step")))


def test_tensorflow_speaks_where_it_ran():
    said = chapter(tables(tensorflow=False), tensorflow=False).tensorflow()
    assert "no run of a real TensorFlow" in said
    made = chapter(tables(), tensorflow_train_size=720)
    made.in_tensorflow = ["in place", "with the step"]
    assert "*with the step*, 100 of 100" in plain(made.tensorflow())
    assert "1.99 × [" in plain(made.tensorflow())
    assert "is 0 nats up to the second step" in plain(made.tensorflow())
    # Without a word, its accuracy would be read as that of the other arms' amount of data.
    assert "TensorFlow trained on 720 images for 1 epoch, the arms above on all images" in made.tensorflow()
    alike = chapter(tables())
    alike.in_tensorflow = made.in_tensorflow
    assert "on all images for 1 epoch, as the arms above did" in alike.tensorflow()
    training = made.tables["training"]
    off = training["run"].eq("TensorFlow, with the step 2")
    training.loc[off & training["step"].eq(2), "loss"] -= 0.25
    training.loc[off & training["step"].eq(9), "loss"] += 3.0
    assert "*with the step*, 98 of 100" in plain(made.tensorflow())
    assert "is 0.25 nats up to the second step" in plain(made.tensorflow())
    assert "and 3 nats in all" in plain(made.tensorflow())
    table = made.tensorflow_table()
    assert table["TensorFlow"].to_list() == ["in place", "with the step"]
    assert table["test accuracy, moving"].to_list() == ["60.2 % [60.0, 60.4]"] * 2
    assert table["over “in place”"].to_list()[0] == "1 ×"
    assert table["over “in place”"].to_list()[1].startswith("0.50 × [")
    drawn = figures.accuracy_in_tensorflow(made.tensorflow_accuracy())
    (axis,) = drawn.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["in place", "with the step"]
    plt.close("all")


def test_the_chinese_page_says_the_same_of_tensorflow():
    made = chapter(tables(), tensorflow_train_size=720)
    made.in_tensorflow = ["in place", "with the step"]
    english, chinese = (re.findall(r">([^<]+)</a>", made.tensorflow(language)) for language in ("en", "zh"))
    assert [number.replace("倍", "×") for number in chinese] == english
    assert "与就地更新逐比特相等的：随训练步更新" in plain(made.tensorflow("zh"))
    assert "TensorFlow 用 720 张图像训练 1 个 epoch，上面各方式用全部图像训练" in made.tensorflow("zh")
    assert "没有运行真正的 TensorFlow" in chapter(tables(tensorflow=False), tensorflow=False).tensorflow("zh")


def test_the_cost_figure_has_a_row_an_arm_at_its_ratio():
    costs = chapter(tables()).costs()
    (axis,) = figures.cost_by_arm(costs).axes
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert rows == ["without batch norm", "with the step", "after the step", "never"]
    means = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "D"]
    assert means == pytest.approx([0.5, 1.0, 1.5, 0.9], rel=0.01)
    table = chapter(tables()).cost_table()
    assert table["arm"].to_list() == ["without batch norm", "in place", *rows[1:]]
    plt.close("all")


def test_every_arm_has_a_curve_of_its_means():
    made = tables()
    (axis,) = figures.accuracy_over_training(made["evaluation"]).axes
    curves = {line.get_label(): line.get_ydata() for line in axis.lines}
    for arm, reached in ACCURACY.items():
        assert list(curves[arm]) == pytest.approx([reached * s / STEPS[-1] + 0.002 for s in STEPS])
    plt.close("all")


SMALL = """
dataset: digits
train_size: 32
seeds: 2
batch_size: 16
evaluations: 2
tensorflow: false
"""


@pytest.mark.slow
def test_the_chapter_trains_what_it_shows(tmp_path):
    shown = notebooks.execute("updates_collections", tmp_path, SMALL)
    assert sum("image/svg+xml" in data for data in shown) == 2
    texts = [data.get("text/markdown", "") + data.get("text/html", "") for data in shown]
    # Two seeds of two steps each, and each arm really trained: all of it equal to the first arm's.
    (compared,) = (text for text in texts if "test losses, moving averages" in text)
    assert re.findall(r"<td>losses of training steps</td>|<td>4 of 4</td>", compared)[:4] == [
        "<td>losses of training steps</td>",
        *["<td>4 of 4</td>"] * 3,
    ]
    assert any("no run of a real TensorFlow" in text for text in texts)
