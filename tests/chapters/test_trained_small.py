"""What knobs and regularisation describe of the second round's trainings, from planted records."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup

from bnstudy import chapters
from bnstudy.blocks.gamma_and_epsilon import GammaAndEpsilonStudy
from bnstudy.blocks.small_data import SmallDataStudy
from bnstudy.chapters.knobs import trained as of_knobs
from bnstudy.chapters.regularisation import trained as of_small
from bnstudy.chapters.shown import Shown
from bnstudy.chapters.trained import described
from bnstudy.records.store import Store

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


def test_networks_are_held_against_each_other_where_both_first_know_as_much(folder):
    rungs = of_small.at_levels(shown(folder, "small_data", "regularisation"))
    for level in of_small.LEVELS:
        assert of_small.ahead(rungs, level).tolist() == pytest.approx([0.05, 0.05])
    first = rungs[(rungs["level"] == 0.9) & (rungs["arm"] == "none plain")]
    # At its first evaluation of 90 % or more, which is the fourth.
    assert first["accuracy"].tolist() == pytest.approx([0.53, 0.53])
    assert re.search(r"ahead by \+5\.0 \[.*points at 70% \(2 pairs\)", text_of(folder, "regularisation"))


def test_a_level_that_one_never_reaches_is_not_compared(folder):
    rungs = of_small.at_levels(shown(folder, "small_data", "regularisation"))
    late = rungs[~((rungs["level"] == 0.95) & (rungs["arm"] == "none plain") & (rungs["seed"] == 100))]
    assert of_small.ahead(late, 0.95).index.tolist() == [101]


def test_the_loss_stands_beside_before_and_after_scaling(folder):
    said = text_of(folder, "regularisation")
    assert re.search(r"less that without is 0\.500 .*nats, and -0\.250 .*once each", said)
    table = of_small.table(shown(folder, "small_data", "regularisation")).set_index("arm")
    assert table.loc["batch norm", "test loss"].startswith("2.500 ")
    assert table.loc["L2", "test loss, logits scaled"].startswith("1.000 ")
    assert set(table["seeds"]) == {"2"}
