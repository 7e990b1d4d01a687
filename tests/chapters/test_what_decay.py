"""The calculator: what it was recorded from, its formulas in script and in Python, and how it is used."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bnstudy
from bnstudy.analysis import moving_average as ma
from bnstudy.blocks.core import CoreStudy
from bnstudy.chapters.decay_range.study import DecayRangeStudy
from bnstudy.chapters.what_decay import losses as recorded
from bnstudy.chapters.what_decay.page import WhatDecay
from bnstudy.chapters.what_decay.words import WORDS
from tests import parts


@pytest.fixture(scope="module")
def page() -> WhatDecay:
    return WhatDecay()


class Planted(dict):
    """Frames of a study, as far as losses are read from them."""

    def __init__(self, study: Any, **tables: pd.DataFrame) -> None:
        super().__init__(tables)
        self.study = study
        self.root = Path("nowhere")


def evaluated(lost: float, decay: float, debias: str = "none", **where: Any) -> list[dict[str, Any]]:
    """Rows of three seeds whose moving averages lose so much, on average."""
    rows = []
    for seed, spread in enumerate((-0.01, 0.0, 0.01)):
        row = {"seed": seed, "split": "test", **where}
        precise = 0.6 + 0.05 * seed
        rows.append(
            {**row, "statistics": "precise", "decay": math.nan, "zero_debias": None, "accuracy": precise}
        )
        moving = {"statistics": "moving", "decay": decay, "zero_debias": debias}
        rows.append({**row, **moving, "accuracy": precise - lost - spread})
    return rows


def frame(*parts_of: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts_of for row in part]).drop_duplicates()


def test_a_loss_is_what_the_records_say(page):
    """One cell, recomputed from the table with nothing of the package's but the reading."""
    evaluation = bnstudy.load("decay")["evaluation"]
    rows = evaluation[(evaluation["schedule"] == "annealed") & (evaluation["split"] == "test")]
    rows = rows[rows["step"] == rows["step"].max()]
    accuracy = {}
    for row in rows.itertuples():
        if row.statistics == "precise" or (
            row.statistics == "moving" and (row.decay, row.zero_debias) == (0.999, "none")
        ):
            accuracy[row.statistics, row.seed] = row.accuracy
    lost = [100 * (accuracy["precise", s] - accuracy["moving", s]) for s in range(5)]
    (found,) = [
        loss
        for loss in page.losses
        if (loss.setting.study, loss.setting.schedule, loss.decay) == ("decay", "annealed", 0.999)
    ]
    half = 2.7764451 * np.std(lost, ddof=1) / math.sqrt(5)  # Student's t with 4 degrees of freedom
    expected = [np.mean(lost), np.mean(lost) - half, np.mean(lost) + half]
    assert found.as_dict()["plain"] == pytest.approx(expected, rel=1e-6)
    assert found.plain.count == 5


def test_the_second_round_s_losses_follow_once_they_are_there():
    study = CoreStudy()
    rows = [
        evaluated(0.2, 0.999, step=30, arm="batch"),  # epoch 3
        evaluated(0.1, 0.999, step=180, arm="batch"),  # epoch 18, the last at a constant rate
        evaluated(0.15, 0.999, step=200, arm="batch"),  # the rate is falling
        evaluated(0.01, 0.999, step=220, arm="batch"),
        evaluated(0.3, 0.9, step=30, arm="none"),
    ]
    frames = Planted(study, checkpoints=frame(*rows))
    found = list(recorded.of_core(frames))
    assert [(loss.setting.schedule, loss.setting.steps, round(loss.plain.mean, 9)) for loss in found] == [
        ("constant", 30, 0.2),
        ("constant", 180, 0.1),
        ("annealed", 220, 0.01),
    ]
    assert {loss.setting.study for loss in found} == {"core"}
    assert {loss.debiased for loss in found} == {None}


def test_settings_of_which_a_run_diverged_are_left_out():
    study = DecayRangeStudy(dataset="digits", seeds=3, learning_rates=(0.1,), batch_sizes=(32, 64))
    labels = {"centre": 10, "learning rate 0.1": 10, "batch size 32": 40, "batch size 64": 20}
    rows, runs = [], []
    for label, step in labels.items():
        for row in evaluated(0.1, 0.9, step=step, setting=label):
            rows.append({**row, "run": f"{label} {row['seed']}"})
        for seed in range(3):
            wild = int((label, seed) == ("batch size 64", 1))
            runs.append({"run": f"{label} {seed}", "setting": label, "seed": seed, "diverged": wild})
    found = list(
        recorded.of_decay_range(Planted(study, evaluation=pd.DataFrame(rows), runs=pd.DataFrame(runs)))
    )
    told = [(loss.setting.batch_size, loss.setting.steps, loss.setting.learning_rate) for loss in found]
    usual = study.learning_rate
    assert told == [(128, 10, usual), (128, 10, 0.1), (32, 40, usual)]
    assert recorded.as_near(found, found[0]) == [found[1]]
    assert recorded.as_near(found, found[2]) == []


def test_a_network_that_has_learned_nothing_has_nothing_to_lose(page):
    assert min(loss.setting.steps for loss in page.losses) > 3
    poor = frame(evaluated(0.0, 0.9))
    setting = page.losses[0].setting
    assert list(recorded._losses(setting, poor))
    assert not list(recorded._losses(setting, poor.assign(accuracy=0.15)))


def asked(chance: random.Random) -> dict[str, Any]:
    decay = chance.choice([0.0, 0.5, 0.9, 0.97, 0.99, 0.999, 1 - 10 ** chance.uniform(-6, 0)])
    return {
        "steps": round(10 ** chance.uniform(0, 6)),
        "decay": decay,
        "batch_size": chance.choice([1, 2, 32, 100, 128, 512, 4096]),
        "schedule": chance.choice(["constant", "annealed"]),
    }


def test_the_nearest_is_nearer_than_any_other(page):
    chance = random.Random(1)
    for _ in range(50):
        inputs = asked(chance)
        found = recorded.nearest(page.losses, **inputs)

        def product(loss: recorded.Loss, inputs: dict[str, Any] = inputs) -> float:
            pairs = [
                (loss.setting.steps, inputs["steps"]),
                (loss.setting.batch_size, inputs["batch_size"]),
                (1 - loss.decay, 1 - inputs["decay"]),
            ]
            return math.prod(max(a / b, b / a) for a, b in pairs)

        rest = [loss for loss in page.losses if loss.setting.schedule == inputs["schedule"]]
        assert found is not None
        assert found.setting.schedule == inputs["schedule"]
        assert product(found) == pytest.approx(min(map(product, rest)))


def test_of_two_as_near_the_one_of_more_seeds_is_told(page):
    loss = page.losses[0]
    more = recorded.replace(loss, plain=recorded.replace(loss.plain, count=16))
    at = loss.setting
    inputs = {"steps": at.steps, "decay": loss.decay, "batch_size": at.batch_size, "schedule": at.schedule}
    assert recorded.nearest([loss, more], **inputs) is more
    assert recorded.nearest([more, loss], **inputs) is more
    assert recorded.nearest([], **inputs) is None
    with pytest.raises(ValueError, match="schedule is 'cosine'; allowed: 'constant', 'annealed'"):
        recorded.nearest([loss], **{**inputs, "schedule": "cosine"})


def test_both_languages_fill_in_the_same_numbers():
    def holes(value: Any) -> Any:
        if isinstance(value, str):
            return sorted(re.findall(r"\{\w+\}", value))
        return (
            {k: holes(v) for k, v in value.items()} if isinstance(value, dict) else [holes(v) for v in value]
        )

    english, chinese = ({k: holes(v) for k, v in vars(words).items()} for words in WORDS.values())
    assert english == chinese
    assert "降幅" in WhatDecay(language="zh").answer()


def test_the_tables_have_the_same_answers_without_script(page):
    table = page.answers().set_index("decay")
    assert table.loc["0.999", "Half-life"] == "693 steps"
    assert table.loc["0.999", "start left after 1,000 steps"] == f"{100 * 0.999**1000:.3g} %"
    assert table.loc["0.9", "start left after 20,000 steps"] == "below 0.01 %"
    lost = page.recorded().set_index("training, and learning rate")
    ends = {loss.setting for loss in page.losses if loss.setting.study == "decay_range"}
    assert len(lost) >= len(ends) == 5
    (cell,) = [
        loss.plain.percent().replace(" %", "")
        for loss in page.losses
        if loss.setting.study == "decay_range" and loss.setting.batch_size == 32 and loss.decay == 0.99
    ]
    assert cell in lost["0.99"].tolist()


# In a browser.

in_browser = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with parts.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def written(page, tmp_path_factory):
    return parts.written(page.calculator(), tmp_path_factory.mktemp("calculator"))


@in_browser
def test_script_and_python_have_the_same_formulas(browser, written):
    chance = random.Random(2)
    cases = [(0.0, 1), (0.0, 7), (1e-17, 3), (1 - 1e-12, 9)]
    for _ in range(300):
        inputs = asked(chance)
        cases.append((inputs["decay"], inputs["steps"]))
    with parts.opened(browser, written) as shown:
        found = shown.evaluate(
            """cases => cases.map(([decay, steps]) => {
                 const m = movingAverage;
                 return [m.halfLife(decay), m.initialWeight(decay, steps), m.meanAge(decay, steps),
                         m.equalBatches(decay, steps), m.forgettingDecay(steps, 0.01)];
               })""",
            cases,
        )
    for (decay, steps), values in zip(cases, found, strict=True):
        expected = [
            ma.half_life(decay),
            ma.initial_weight(decay, steps),
            ma.mean_age(decay, steps),
            ma.equal_batches(decay, steps),
            ma.forgetting_decay(steps, 0.01),
        ]
        assert values == pytest.approx(expected, rel=1e-11, abs=1e-300), (decay, steps)


@in_browser
def test_script_and_python_find_the_same_record(browser, written, page):
    chance = random.Random(3)
    cases = [asked(chance) for _ in range(300)]
    embedded = [loss.as_dict() for loss in page.losses]
    with parts.opened(browser, written) as shown:
        found = shown.evaluate(
            """([losses, cases]) => cases.map(({batch_size, ...rest}) =>
                 losses.indexOf(whatDecay.nearest(losses, {batch: batch_size, ...rest})))""",
            [embedded, cases],
        )
    expected = [page.losses.index(recorded.nearest(page.losses, **case)) for case in cases]
    assert found == expected
    assert len(set(found)) > 20


def answers(shown: Any) -> SimpleNamespace:
    told = {
        key: shown.locator(f'[data-answer="{key}"]').inner_text() for key in ("half", "left", "age", "equal")
    }
    return SimpleNamespace(**told, nearest=shown.locator(".nearest").inner_text())


@in_browser
def test_it_opens_with_the_decay_chapter_s_training(browser, written, page):
    with parts.opened(browser, written) as shown:
        told = answers(shown)
        assert told.half == "693 steps (88,678 images)"
        steps = int(shown.get_by_label("Training steps").input_value())
        assert told.left == f"{100 * 0.999**steps:.3g} %"
        # Two studies looked after as many steps, at other rates: the table is of one, and both are said.
        loss = recorded.nearest(page.losses, steps=steps, decay=0.999, batch_size=128, schedule="constant")
        others = recorded.as_near(page.losses, loss)
        assert others
        assert all(found.plain.percent().replace(" %", "") in told.nearest for found in (loss, *others))
        rates = [f"As near, at learning rate {found.setting.learning_rate:g}" for found in others]
        assert all(rate in told.nearest for rate in rates)
        assert shown.locator(".apart").inner_text().startswith("It has your inputs.")
        rows = shown.locator("tbody tr")
        assert rows.count() == len([found for found in page.losses if found.setting == loss.setting])
        assert shown.locator("tr[aria-current] th").inner_text() == "0.999"


@in_browser
def test_decay_and_momentum_follow_each_other(browser, written):
    with parts.opened(browser, written) as shown:
        decay, momentum = (shown.get_by_label(name) for name in ("TensorFlow's decay", "PyTorch's momentum"))
        momentum.fill("0.1")
        assert decay.input_value() == "0.9"
        decay.fill("0.99")
        assert momentum.input_value() == "0.01"
        assert answers(shown).half.startswith("69 steps")
        slide = shown.get_by_role("slider")
        slide.focus()
        shown.keyboard.press("Home")
        assert (decay.input_value(), momentum.input_value()) == ("0", "1")
        shown.keyboard.press("End")
        assert (decay.input_value(), momentum.input_value()) == ("0.9999", "0.0001")
        assert slide.get_attribute("aria-valuetext") == "0.9999"


@in_browser
def test_a_bad_input_is_named_and_nothing_else_is_said(browser, written):
    share, whole = "a number from 0 to below 1", "a whole number from 1 to 1,000,000,000"
    bad = [
        ("TensorFlow's decay", "1", share),
        ("TensorFlow's decay", "much", share),
        ("PyTorch's momentum", "0", "a number above 0, up to 1"),
        ("Training steps", "2.5", whole),
        ("Batch size", "", whole),
    ]
    with parts.opened(browser, written) as shown:
        for label, value, allowed in bad:
            field = shown.get_by_label(label)
            good = field.input_value()
            field.fill(value)
            assert shown.get_by_role("alert").inner_text() == f"{label} is {value}; allowed: {allowed}."
            assert field.get_attribute("aria-invalid") == "true"
            assert shown.locator(".found").is_hidden()
            field.fill(good)
            assert shown.get_by_role("alert").inner_text() == ""
            assert shown.locator(".found").is_visible()


@in_browser
def test_the_address_keeps_the_inputs(browser, written):
    with parts.opened(browser, written) as shown:
        shown.get_by_label("Training steps").fill("50,000")
        shown.get_by_label("Batch size").fill("256")
        shown.get_by_label("PyTorch's momentum").fill("0.05")
        shown.get_by_label("annealed to zero").check()
        told, kept = answers(shown), shown.evaluate("() => location.hash")
        assert kept == "#steps=50000&decay=0.95&batch=256&schedule=annealed"
        assert shown.locator(".keeps").get_attribute("href") == kept
        assert "That is far" in shown.locator(".apart").inner_text()
    with parts.opened(browser, written, kept) as shown:
        assert answers(shown) == told
        shown.evaluate("() => { location.hash = '#decay=0.5' }")
        shown.wait_for_function("() => document.querySelector('[name=momentum]').value === '0.5'")
        assert shown.get_by_label("Batch size").input_value() == "256"


@in_browser
def test_without_script_it_doesn_t_show(browser, written):
    with parts.opened(browser, written, java_script_enabled=False) as shown:
        assert shown.locator(".decay-calculator").is_hidden()
