"""What knobs and regularisation describe of the second round's trainings, mostly from planted records."""

from __future__ import annotations

import itertools
import re

import matplotlib
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib import pyplot as plt

from bnstudy import chapters
from bnstudy.analysis.judged.recorded import blocks_of
from bnstudy.analysis.judged.verdicts import Finding, Judgement
from bnstudy.blocks.chosen import best
from bnstudy.blocks.gamma_and_epsilon import GammaAndEpsilonStudy
from bnstudy.blocks.small_data import SmallDataStudy
from bnstudy.chapters import headlines
from bnstudy.chapters.kept import frames_of
from bnstudy.chapters.knobs import trained as of_knobs
from bnstudy.chapters.regularisation import few_images, figures_of_few, strengths
from bnstudy.chapters.regularisation import few_images_shown as few_shown
from bnstudy.chapters.regularisation import headlines as of_c5
from bnstudy.chapters.regularisation import trained as of_small
from bnstudy.chapters.regularisation.judged import C5, EQUAL_TRAINING
from bnstudy.chapters.second_round import _source, confirmatory_records
from bnstudy.chapters.shown import Shown
from bnstudy.chapters.trained import described
from bnstudy.records.store import Store
from bnstudy.study.run import default_data_dir

matplotlib.use("agg")

SEEDS = (100, 101)
STEPS_AN_EPOCH = 10
MADE = {"device": "planted", "wall_seconds": 1.0, "source": "planted"}
LOOK = ("step", "split", "statistics", "decay", "zero_debias", "loss", "accuracy")

# Points of accuracy, and hundredths of loss, above the base; averages lose as much again.
KNOBS = {
    "base": (0, 0),
    "gamma hidden": (2, -10),
    "gamma everywhere": (5, -30),
    "epsilon 1e-5": (1, 4),
    "epsilon 1e-1": (-3, 8),
    "epsilon 1e-11": (-1, 6),
}

# By arm: accuracy of training images by epoch, and of test images; batch norm gets there in half the time.
COURSE = (0.6, 0.75, 0.85, 0.92, 0.96, 0.999, 1.0)
LOSS = {"none": (2.0, 1.0), "batch": (2.5, 0.75)}


def columns(lines, names):
    return {name: [line[i] for line in lines] for i, name in enumerate(names)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    store = Store(root)
    of = {"dataset": "digits", "seeds": len(SEEDS)}
    training = columns([(1, 2.3, 0.1, 0.01)], ("step", "loss", "accuracy", "learning_rate"))
    for run in GammaAndEpsilonStudy(**of).runs():
        points, loss = KNOBS[run.arms["arm"]]
        top = 0.7 + points / 100 + 0.001 * (run.spec.seed - SEEDS[0])
        last = run.spec.epochs * STEPS_AN_EPOCH
        rows = [
            (last, "test", "precise", None, None, 1 + loss / 100, top),
            (last, "test", "moving", 0.9, "none", 1.1 + loss / 50, top - 0.01 + points / 100),
        ]
        store.write(run.spec, MADE, "finished", {"checkpoints": columns(rows, LOOK), "training": training})
    for run in SmallDataStudy(**of).runs():
        norm, _, extra = run.arms["arm"].partition(" ")
        own = ("none", None, None) if norm == "none" else ("moving", 0.9, "none")
        rows = []
        for i, reached in enumerate(COURSE):
            step = (i + 1) * STEPS_AN_EPOCH
            ahead = 0.05 if norm == "batch" else 0.0
            rows.append((step, "test", *own, LOSS[norm][0], 0.5 + 0.01 * i + ahead))
            rows.append((step, "validation", *own, 1.0, 0.5))
            if extra == "plain" or i == len(COURSE) - 1:
                rows.append((step, "train", *own, 0.1, reached))
        plain, scaled = LOSS[norm]
        names = ("step", "split", "temperature", "loss", "scaled_loss")
        calibration = [
            (len(COURSE) * STEPS_AN_EPOCH, s, 2.5, plain, scaled) for s in ("test", "train", "validation")
        ]
        tables = {
            "checkpoints": columns(rows, LOOK),
            "calibration": columns(calibration, names),
            "training": training,
        }
        store.write(run.spec, MADE, "finished", tables)
    return root


def shown(folder, block, chapter):
    return Shown(chapters.load(block, folder, dataset="digits", seeds=len(SEEDS)), chapter, "en")


def text_of(folder, chapter):
    html = described(chapter, "en", folder, dataset="digits", seeds=len(SEEDS))
    return BeautifulSoup(html, "html.parser").get_text()


@pytest.mark.parametrize("chapter", ["knobs", "regularisation"])
def test_both_languages_have_the_same_numbers_and_cells_open(folder, chapter):
    pages = [
        BeautifulSoup(described(chapter, language, folder, dataset="digits", seeds=2), "html.parser")
        for language in ("en", "zh")
    ]
    numbers = [sorted(a.get_text() for a in page.select("a.number")) for page in pages]
    assert numbers[0] == numbers[1] != []
    assert not any("nan" in page.get_text() for page in pages)
    # A cell with an interval opens to its values by seed.
    cells = [cell for cell in pages[0].select("td") if "[" in cell.get_text()]
    assert cells
    assert [c for c in cells if '"seeds":[100,101]' not in c.a["data-behind"]] == []


def test_a_knob_is_held_against_the_arm_that_it_differs_from_in_one_thing(folder):
    rows = of_knobs.ends(shown(folder, "gamma_and_epsilon", "knobs"))
    changed = {arm: of_knobs.changed(rows, arm, "precise", "accuracy").tolist() for arm in of_knobs.AGAINST}
    assert changed["gamma hidden"] == pytest.approx([0.02, 0.02])
    assert changed["gamma everywhere"] == pytest.approx([0.03, 0.03])
    assert changed["epsilon 1e-1"] == pytest.approx([-0.03, -0.03])
    said = text_of(folder, "knobs")
    assert re.search(r"hidden layers changes the test loss by -0\.100 .*last layer besides by -0\.200 ", said)
    assert re.search(
        r"changes the test accuracy by \+4\.0 \[.*points, in the last layer besides by \+6\.0 ", said
    )
    assert re.search(r"-6\.0 \[[^(]*\(epsilon 0\.1\)", said)


def wide_of(folder):
    return few_images.looks(shown(folder, "small_data", "regularisation"))


def test_networks_are_held_against_each_other_where_both_first_know_as_much(folder):
    rungs = few_images.at_levels(wide_of(folder))
    for level in few_images.LEVELS:
        assert few_images.ahead(rungs, level).tolist() == pytest.approx([0.05, 0.05])
    first = rungs[(rungs["level"] == 0.9) & (rungs["arm"] == "none plain")]
    # At its first evaluation of 90 % or more, which is the fourth.
    assert first["accuracy"].tolist() == pytest.approx([0.53, 0.53])
    assert re.search(r"ahead by \+5\.0 \[.*points at 70% \(2 pairs\)", text_of(folder, "regularisation"))


def test_a_level_that_one_never_reaches_is_not_compared(folder):
    rungs = few_images.at_levels(wide_of(folder))
    late = rungs[~((rungs["level"] == 0.95) & (rungs["arm"] == "none plain") & (rungs["seed"] == 100))]
    assert few_images.ahead(late, 0.95).index.tolist() == [101]


# Training accuracy look by look, and test accuracy, of a pair that holds the level at looks 3 to 5 with less
# before, of one that doesn't hold it long enough, and of one of which a network never gets near.
HELD = ([0.9, 0.999, 0.9, 1.0, 1.0, 1.0, 1.0], [0.8, 0.999, 0.999, 0.999, 0.999, 0.9995, 1.0])
BROKEN = ([0.9, 1.0, 1.0, 0.998, 1.0, 1.0, 0.99], [0.9, 0.95, 0.96, 0.97, 0.98, 0.98, 0.9985])
LOW = ([0.5, 0.6, 0.88, 0.7, 0.7, 0.7, 0.7], [0.7, 0.87, 0.89, 0.999, 1.0, 1.0, 1.0])


def test_a_pair_is_compared_where_both_hold_the_level_or_where_both_come_closest():
    lines = []
    for (seed, pair), (arm, of) in itertools.product(
        enumerate((HELD, BROKEN, LOW)), (("none plain", 0), ("batch plain", 1))
    ):
        lines += [
            {"arm": arm, "seed": seed, "step": look, "train": reached, "test": 0.5 + 0.01 * look * (of + 1)}
            for look, reached in enumerate(pair[of])
        ]
    found = few_images.compared(pd.DataFrame(lines))
    assert found["held"].tolist() == [True, False, False]
    # Look 5 for both; else each at its first look of the level: 6 and 1, 2 and 2.
    assert found["level"].tolist() == [0.9995, 0.9985, 0.88]
    assert found["ahead"].tolist() == pytest.approx([0.05, 0.12 - 0.01, 0.04 - 0.02])


def test_the_recorded_pairs_are_those_of_the_verdict_image_by_image():
    frames = frames_of("small_data")
    store = Store(default_data_dir())
    plain = set(frames["runs"].loc[frames["runs"]["arm"].isin(few_images.PLAIN.values()), "run"])
    records = [record for record in confirmatory_records(store) if record.spec.name in plain]
    judged = EQUAL_TRAINING.estimate(blocks_of(_source(store, record) for record in records))
    found = few_images.compared(few_images.looks(Shown(frames, "regularisation", "en")))
    assert found["ahead"].tolist() == pytest.approx(judged.components[0].values.tolist())
    assert (~found["held"]).sum() == judged.counted["pairs below the level"] > 0


def test_a_training_stops_at_the_earliest_of_its_best_looks(folder):
    wide = wide_of(folder)
    assert set(few_images.stopped(wide)["step"]) == {STEPS_AN_EPOCH}  # all looks are equally good
    wide.loc[(wide["arm"] == "batch L2") & (wide["step"] == 50), "validation"] = 0.6
    best = few_images.stopped(wide)
    assert few_images.of(best, "batch L2").tolist() == pytest.approx([0.59, 0.59])
    assert few_images.of(best, "none L2").tolist() == pytest.approx([0.5, 0.5])
    # Of epochs between two looks the earlier counts, and before the first look the first.
    per = len(COURSE) / SmallDataStudy().epochs
    assert set(few_images.at_epoch(wide, 2.6 / per)["step"]) == {20}
    assert set(few_images.at_epoch(wide, 0)["step"]) == {10}


def test_the_better_by_validation_is_counted_by_seed(folder):
    here = shown(folder, "small_data", "regularisation")
    best = few_images.stopped(few_images.looks(here))
    best.loc[(best["arm"] == "batch dropout") & (best["seed"] == 101), "validation"] = 0.7
    said = BeautifulSoup(of_small._better(here, best), "html.parser").get_text()
    assert "better than L2 in 1 of 2 seeds with batch norm, and in 0 without" in said


def test_the_figures_show_each_seed_and_the_marks_of_each_arm(folder):
    wide = wide_of(folder)
    arms = figures_of_few.six_arms(few_images.stopped(wide), few_images.ends(wide)).axes[0]
    assert sum(len(line.get_xdata()) == len(SEEDS) for line in arms.lines) >= len(few_shown.NAMES)
    hollow = [line.get_xdata()[0] for line in arms.lines if line.get_marker() == "D" and line.get_mew() > 1]
    assert hollow[:3] == pytest.approx([56.0] * 3)
    assert hollow[-3:] == pytest.approx([61.0] * 3)
    fit = figures_of_few.fitted(wide, few_images.ends(wide)).axes[0]
    courses = [line for line in fit.lines if len(line.get_xdata()) == len(COURSE)]
    assert [line.get_xdata() == pytest.approx([100 * at for at in COURSE]) for line in courses] == [True] * 2
    assert figures_of_few.along(wide, 45).axes[0].lines
    plt.close("all")


def test_the_loss_stands_beside_before_and_after_scaling(folder):
    said = text_of(folder, "regularisation")
    assert re.search(r"less that without is 0\.500 .*nats, and -0\.250 .*once each", said)
    here = shown(folder, "small_data", "regularisation")
    table = few_shown.losses(here).set_index("arm")
    assert table.loc["batch norm", "test loss"].startswith("2.500 ")
    assert table.loc["L2", "test loss, logits scaled"].startswith("1.000 ")
    wide = few_images.looks(here)
    ended = few_shown.accuracies(here, few_images.stopped(wide), few_images.ends(wide)).set_index("arm")
    assert set(ended["seeds"]) == {"2"}
    assert ended.loc["batch norm", "stopped early: test accuracy, %"].startswith("55.0 ")
    assert ended.loc["batch norm", "at the end: test accuracy, %"].startswith("61.0 ")
    assert set(ended["at the end: training accuracy, % (seeds)"]) == {"100.0 (100.0–100.0)"}


def test_the_strengths_are_those_that_the_records_choose():
    there = Shown(frames_of("small_data_strengths"), "regularisation", "en")
    rows = strengths.ends(there)
    starred = strengths.table(there, rows).set_index("strength")
    for norm, head in (("none", "without"), ("batch", "with")):
        column = starred[next(c for c in starred if c.startswith(f"{head} batch norm"))]
        # The chapter's stars against the choice that the block was trained with.
        for kind in ("L2", "dropout"):
            kept = there.frames["checkpoints"]
            kept = kept[(kept["strength"].str.startswith(kind)) & (kept["arm"] == norm)]
            assert column[best(kept, "strength")[norm]].endswith("*")
        assert sum(cell.endswith("*") for cell in column) == 2
        mean = strengths.of(rows, norm, "none").mean()
        assert column["neither"] == f"{100 * mean:.1f}"


def judgement(**answers):
    """A judgement of C5 of which the parts that are named have these answers, and the others hold."""
    parts = [Finding(p, None, answers.get(p.name.replace(" ", "_"), "holds"), {}) for p in C5.parts]
    return Judgement(C5, "partly", tuple(parts))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_to_do_follows_from_what_is_worth_adding(language):
    gain = {e: {f"nothing_to_gain_from_{e}": "doesn't hold"} for e in ("L2", "dropout")}
    both = of_c5.advised(judgement(**gain["L2"], **gain["dropout"]))
    assert all(word in getattr(both, language) for word in ("L2", "dropout"))
    alone = {e: getattr(of_c5.advised(judgement(**gain[e])), language) for e in gain}
    assert "dropout" not in alone["L2"]
    assert "L2" not in alone["dropout"]
    # Nothing is worth adding, or nobody can tell: the verdict's own advice.
    undecided = judgement(nothing_to_gain_from_L2="can't tell")
    assert of_c5.advised(judgement()) is of_c5.advised(undecided) is None
    leave = headlines.advice(of_c5, "C5", "supported", language)
    assert leave != headlines.advice(of_c5, "C5", "partly", language)
