"""What chapters describe of the second round's probed trainings, from records with planted values."""

from __future__ import annotations

import math
import re

import pytest
from bs4 import BeautifulSoup
from matplotlib import pyplot as plt
from scipy.stats import binomtest

from bnstudy import chapters
from bnstudy.analysis.statistics import share_interval
from bnstudy.blocks.in_turn import InTurnStudy
from bnstudy.blocks.shift import HALF_RATE, ShiftStudy
from bnstudy.blocks.turn_rates import TurnRatesStudy
from bnstudy.chapters.covariate_shift import seen, seen_figures
from bnstudy.chapters.covariate_shift import trained as of_shift
from bnstudy.chapters.explosion import by_rate
from bnstudy.chapters.explosion import trained as of_endings
from bnstudy.chapters.explosion.rules import how_ended
from bnstudy.chapters.shown import Shown
from bnstudy.chapters.trained import described
from bnstudy.records.store import Store

SEEDS = (100, 101)
LAYERS = tuple(f"blocks.conv{i}" for i in range(1, 6))
STEPS = (1, 10, 100)
MADE = {"device": "planted", "wall_seconds": 1.0, "source": "planted"}
# Which seeds of an arm diverge, and at which step.
DIVERGED = {("at once", 100): 3, ("at once", 101): 7, ("in turn", 100): 33, ("He", 101): 4}

# How far a step moves what a layer is given, in its standard deviations; the cosine, and the shape.
MOVED = {"none": 8.0, HALF_RATE: 4.0, "batch": 2.0}
COSINE = {"none": 0.5, HALF_RATE: 0.75, "batch": 0.625}
ACCURACY = {"none": 0.3, HALF_RATE: 0.25, "batch": 0.5}


def columns(lines, *names):
    return {name: [line[i] for line in lines] for i, name in enumerate(names)}


def course(accuracy, loss):
    """The tables of a training: its losses, and one evaluation at its end if it came there."""
    tables = {
        "training": columns(
            [(1, 3.0, 0.1, 0.1), (100, loss, 0.1, 0.1)], "step", "loss", "accuracy", "learning_rate"
        )
    }
    if accuracy is not None:
        names = ("step", "split", "statistics", "decay", "zero_debias", "loss", "accuracy")
        tables["evaluation"] = columns([(100, "test", "batch", None, None, loss, accuracy)], *names)
    return tables


def probe(lines):
    return columns(lines, "step", "layer", "quantity", "value")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    store = Store(root)
    for run in InTurnStudy(dataset="digits", seeds=len(SEEDS)).runs():
        at = DIVERGED.get((run.arms["arm"], run.spec.seed))
        # The one seed in turn that doesn't diverge dies: all its logits are zero.
        dead = (run.arms["arm"], at) == ("in turn", None)
        accuracy = None if at else 0.1 if dead else 0.5
        tables = course(accuracy, math.log(10) if dead else 1.0)
        norms = [(1, None, "total_norm", 2.0), (2, None, "total_norm", math.inf if at else 4.0)]
        tables["gradient_health"] = probe(norms)
        store.write(run.spec, MADE, f"diverged at step {at}" if at else "finished", tables)
    for run in TurnRatesStudy(dataset="digits", seeds=2).runs():
        # At once nothing survives a rate of 0.5, in turn a rate of 1; with He's initialisation all the same.
        rate, arm = float(run.arms["learning_rate"]), run.arms["arm"]
        gone = rate > {"at once": 0.4, "in turn": 0.9}.get(arm, 0.25)
        tables = course(None if gone else 0.5, 1.0)
        store.write(run.spec, MADE, "diverged at step 9" if gone else "finished", tables)
    for run in ShiftStudy(dataset="digits", seeds=len(SEEDS)).runs():
        store.write(run.spec, MADE, "finished", shift_tables(run.arms["arm"], run.spec.seed))
    return root


def shift_tables(arm, seed):
    kind, _, dose = arm.partition(" ")
    noisy = kind in ("fresh", "frozen")
    tables = course(0.4 - float(dose) / 100 if noisy else ACCURACY[arm], 1.0)
    # Fresh noise of dose d has d times the shift of frozen noise, and its gradient's square root.
    raised = float(dose) if kind == "fresh" else 1.0
    shifts, moved, shapes = [], [], []
    for step in STEPS:
        for i, layer in enumerate(LAYERS):
            still = i == 0
            plain = 0.0 if still else 0.2
            shifts.append((step, f"{layer}.conv", "ics", 0.0 if still else 1.0))
            shifts.append((step, f"{layer}.conv", "ics_relative", plain))
            if noisy:
                shifts.append((step, f"{layer}.conv", "ics_relative_redrawn", plain * raised))
                continue
            shifts.append((step, f"{layer}.conv", "cosine", 1.0 if still else COSINE[arm]))
            # Twice as far at one step and half at another is as far, by logarithms.
            far = MOVED[arm] * {1: 2.0, 10: 1.0, 100: 0.5}[step]
            moved.append((step, f"{layer}.conv", "input_wasserstein", 3 * far))
            moved.append((step, f"{layer}.conv", "input_std", 3.0))
            shapes.append((step, f"{layer}.norm", "normalised_kolmogorov", 0.02 * (i + 1)))
            shapes.append((step, f"{layer}.norm", "normalised_gaussian_kolmogorov", 0.005))
    tables["internal_covariate_shift"] = probe(shifts)
    norms = [
        (1, None, "total_norm", 1.0),
        (10, None, "total_norm", 4.0 * raised**0.5),
        (100, None, "total_norm", 2.0),
    ]
    tables["gradient_health"] = probe(norms)
    if moved:
        tables["activation_drift"] = probe(moved)
        tables["gaussianity"] = probe(shapes)
    return tables


def shown(folder, block, chapter, language="en"):
    return Shown(chapters.load(block, folder, dataset="digits", seeds=len(SEEDS)), chapter, language)


def read(html):
    return BeautifulSoup(html, "html.parser")


@pytest.mark.parametrize("chapter", ["explosion", "covariate_shift"])
def test_both_languages_have_the_same_numbers_and_each_opens(folder, chapter):
    pages = [
        read(described(chapter, language, folder, dataset="digits", seeds=len(SEEDS)))
        for language in ("en", "zh")
    ]
    numbers = [sorted(a.get_text() for a in page.select("p a.number")) for page in pages]
    assert numbers[0] == numbers[1] != []
    cells = [[c.get_text() for c in page.select("td") if re.search(r"\d", c.get_text())] for page in pages]
    assert cells[0] == cells[1] != []
    assert not any("nan" in page.get_text() for page in pages)


def test_endings_are_counted_by_arm(folder):
    page = shown(folder, "in_turn", "explosion")
    table = of_endings.table(page, how_ended(page.frames)).set_index("training")
    assert table["diverged"].tolist() == [2, 1, 1, 0, 0]
    assert table["died"].tolist() == [0, 1, 0, 0, 0]
    assert table["trained"].tolist() == [0, 0, 1, 2, 2]
    assert table["diverged at step"].tolist() == ["3–7", "33", "4", "–", "–"]
    assert table["largest gradient norm"].tolist() == ["inf", "inf", "inf", "4", "4"]
    text = read(of_endings.described(page)).get_text()
    assert re.search(
        r"SGD at rate 1, 2 seeds\. Without normalization, 2 diverge .* and 1 when one layer", text
    )


@pytest.mark.parametrize(("yes", "of"), [(0, 16), (14, 16), (16, 16), (3, 7)])
def test_a_share_has_the_exact_interval(yes, of):
    found, exact = share_interval(yes, of), binomtest(yes, of).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(("yes", "of"), [(-1, 4), (5, 4), (0, 0)])
def test_more_than_all_is_refused(yes, of):
    with pytest.raises(ValueError, match=f"yes is {yes} of {of}; allowed"):
        share_interval(yes, of)


def test_drift_is_a_mean_of_logarithms_and_the_cosine_one_of_values(folder):
    frames = shown(folder, "shift", "covariate_shift").frames
    moved, angle = seen.drift(frames), seen.cosine(frames)
    for arm in MOVED:
        assert (moved[moved["arm"] == arm]["value"] == math.log2(MOVED[arm])).all()
        assert angle[angle["arm"] == arm]["value"].to_numpy() == pytest.approx(COSINE[arm])
    # The first convolution has nothing before it.
    assert set(moved["layer"]) == set(angle["layer"]) == {"conv2", "conv3", "conv4", "conv5"}


def test_a_gradient_that_is_zero_before_and_after_has_no_angle(folder):
    frames = dict(shown(folder, "shift", "covariate_shift").frames)
    table = frames["internal_covariate_shift"]
    dead = (table["arm"] == "none") & (table["step"] == 10) & table["quantity"].isin(["ics", "cosine"])
    value = table["value"].mask(dead & (table["quantity"] == "ics"), 0.0)
    frames["internal_covariate_shift"] = table.assign(
        value=value.mask(dead & (table["quantity"] == "cosine"), 1.0)
    )
    angle = seen.cosine(frames)
    assert angle[angle["arm"] == "none"]["value"].to_numpy() == pytest.approx(0.5)


def test_the_yardstick_stands_beside_what_batch_norm_does(folder):
    text = read(of_shift.described(shown(folder, "shift", "covariate_shift"))).get_text()
    assert re.search(
        r"changes it by 0\.250 .*with SGD and by 0\.250 .*batch norm changes it by 0\.125 ", text
    )


def test_noise_is_compared_with_the_same_noise_that_stays(folder):
    page = shown(folder, "shift", "covariate_shift")
    table = of_shift.noise_table(page, seen.noise(page.frames))
    assert table["amount of noise"].tolist() == ["1", "4", "16"] * 2
    heads = ("relative shift, fresh over frozen", "largest gradient, fresh over frozen")
    shift, gradient = (table[head].str.split().str[0].tolist() for head in heads)
    assert shift == ["1.00", "4.00", "16.00"] * 2
    assert gradient == ["1.00", "2.00", "4.00"] * 2
    text = read(of_shift.described(page)).get_text()
    # 0.2 against 0.2 of relative shift; 0.39 against 0.3 of accuracy.
    assert re.search(r"with SGD 1\.00 \[.*?\] times the relative shift .*? and \+9\.0 \[", text)


def test_the_shape_is_told_from_the_nearest_layer_to_the_farthest(folder):
    text = read(of_shift.described(shown(folder, "shift", "covariate_shift"))).get_text()
    assert re.search(
        r"goes from 0\.020 .*?\(conv1\) to 0\.080 .*?\(conv4\); that of the logits is 0\.100 ", text
    )
    assert "A Gaussian sample of that size has 0.005." in text


def test_no_curve_leaves_its_panel(folder):
    table = seen.shape(shown(folder, "shift", "covariate_shift").frames)
    # The last panel's values are the largest: a limit set too early would have cut them off.
    table.loc[table["training"] == "adam", "value"] *= 3
    figure = seen_figures.shape(table, 0.05)
    for axis in figure.axes:
        top = axis.get_ylim()[1]
        assert all(max(line.get_ydata()) <= top for line in axis.lines)
    plt.close(figure)


def test_c2_says_when_halving_the_rate_does_more(folder, monkeypatch):
    page = shown(folder, "shift", "covariate_shift")
    # By a quarter against an eighth; and where it is the other way round.
    assert "Halving the learning rate does more: 0.250 (SGD)" in read(of_shift._halving(page)).get_text()
    angle = seen.cosine(page.frames)
    names = {HALF_RATE: "batch", "batch": HALF_RATE}
    angle["arm"] = angle["arm"].map(lambda arm: names.get(arm, arm))
    monkeypatch.setattr(of_shift.seen, "cosine", lambda frames: angle)
    assert "Halving the learning rate does less: 0.125 (SGD)" in read(of_shift._halving(page)).get_text()


def test_c3_says_how_the_logits_end(folder):
    said = read(of_shift._at_the_end(shown(folder, "shift", "covariate_shift"))).get_text()
    assert f"means over {STEPS[-1]} steps, half an epoch: at their end that of the logits is" in said


def test_the_largest_rate_that_is_survived_is_held_against_that_of_all_layers_at_once(folder):
    page = Shown(chapters.load("turn_rates", folder, dataset="digits", seeds=2), "explosion", "en")
    ended = by_rate.endings(page)
    # Of the grid 0.3 and 0.7 are the last that survive, and 0.2 twice.
    assert by_rate.ratios(ended, "at once", "in turn").tolist() == pytest.approx([math.log2(0.7 / 0.3)] * 2)
    assert by_rate.ratios(ended, "He, at once", "He, in turn").tolist() == [0.0, 0.0]
    counted = by_rate.table(page, ended)
    assert counted["0.5"].tolist() == ["2 / 2", "0 / 2", "2 / 2", "2 / 2"]
    assert "2.33 [2.33, 2.33] × with the tutorial's" in read(by_rate.said(page)).get_text()
    none = ended.assign(diverged=1)
    assert by_rate.ratios(none, "at once", "in turn").tolist() == [0.0, 0.0]
    assert by_rate.described(shown(folder, "in_turn", "explosion")) == ""  # of the tutorial's data, nothing


def test_in_turn_each_layer_is_updated_as_often_as_at_once():
    steps = {run.arms["arm"]: run.spec.epochs for run in TurnRatesStudy().runs()}
    assert steps == {"at once": 1, "in turn": len(LAYERS), "He, at once": 1, "He, in turn": len(LAYERS)}
    assert {run.spec.seed for run in TurnRatesStudy().runs()} == set(range(5))
