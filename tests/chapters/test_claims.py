"""The thirteen rules: each on records with a planted effect, and the two guards of a verdict."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bnstudy
from bnstudy.analysis.rules import Rule, decide, judge
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.analysis.words import LANGUAGES, write_asked, write_finding
from bnstudy.analysis.words import write_label as label
from bnstudy.chapters.claims import CLAIMS, recorded
from bnstudy.chapters.decay.rules import overfitting

SEEDS = range(6)
BY_ID = {claim.id: claim for claim in CLAIMS}


def frame(value: str, arms: dict, noise: float = 1e-3, **columns: object) -> pd.DataFrame:
    """One row a seed and an arm: ``arms`` maps the arm's columns (as items) to its planted value."""
    rng = np.random.default_rng(7)
    rows = [
        {"seed": seed, **columns, **dict(arm), value: planted + noise * rng.normal()}
        for seed in SEEDS
        for arm, planted in arms.items()
    ]
    return pd.DataFrame(rows)


def arm(**columns: object) -> tuple:
    return tuple(columns.items())


def decay(moving=0.70, batch=0.60, large_train=0.65, large_test=0.55, train=0.75):
    usual = {"statistics": "moving", "decay": 0.9, "zero_debias": "none"}
    arms = {
        arm(split="test", statistics="batch", decay=None, zero_debias=None): batch,
        arm(split="test", **usual): moving,
        arm(split="train", **usual): train,
        arm(split="test", **usual | {"decay": 0.999}): large_test,
        arm(split="train", **usual | {"decay": 0.999}): large_train,
    }
    return {"evaluation": frame("accuracy", arms, schedule="constant", step=10)}


def train_flag(alone=0.2, by_class=0.3):
    arms = {}
    for size, order, on in ((1, "shuffled", alone), (100, "sorted by class", by_class)):
        tested = {"test_batch_size": size, "order": order}
        arms |= {arm(statistics="moving", **tested): 0.7, arm(statistics="batch", **tested): on}
    return {"flag": frame("accuracy", arms)}


def updates_collections(differ=1.0, slower=1.2):
    rng = np.random.default_rng(0)
    losses = []
    for seed in SEEDS:
        for step in range(20):
            loss = rng.normal()
            other = loss + (1e-6 if step < 20 * differ else 0)
            losses.append({"seed": seed, "step": step, "arm": "in place", "loss": loss})
            losses.append({"seed": seed, "step": step, "arm": "with the step", "loss": other})
    # TensorFlow's runs have names of arms in common with those that time all arms in turn.
    timed = {arm(arm="in place", run="t"): slower, arm(arm="with the step", run="t"): 1.0}
    timed |= {arm(arm="in place", run="other"): 1.0, arm(arm="with the step", run="other"): 8.0}
    runs = pd.DataFrame({"run": ["t", "other"], "arm": ["step cost", "TensorFlow, in place"]})
    return {"training": pd.DataFrame(losses), "cost": frame("seconds_per_step", timed), "runs": runs}


def explosion(without=0.6):
    """Ten trainings, a share of which diverge; one more of both arms in every other seed."""
    runs = [
        {"seed": seed, "arm": name, "training": f"sgd {rate}", "diverged": int(rate < 10 * share + seed % 2)}
        for seed in SEEDS
        for name, share in (("none", without), ("batch", 0.1))
        for rate in range(10)
    ]
    return {"runs": pd.DataFrame(runs)}


def probed(quantities: dict, **columns: object) -> pd.DataFrame:
    """A probe's rows: two trainings, steps and layers, with planted values by arm and quantity."""
    arms = {arm(arm=a, quantity=q): value for (a, q), value in quantities.items()}
    places = [
        {"training": training, "step": step, "layer": layer}
        for training in ("sgd 0.1", "adam 0.01")
        for step in (5, 10)
        for layer in ("conv1", "conv2")
    ]
    return pd.concat([frame("value", arms, **place, **columns) for place in places], ignore_index=True)


def covariate_shift(noisy=8.0, raised=1.5, drift=5.0, cosine=0.9, distance=0.05, skewness=0.2):
    normality = {"normalised_normal_distance": distance, "normalised_skewness": skewness}
    shift = "internal_covariate_shift"
    return {
        "gradient_health": probed({("noisy batch", "total_norm"): noisy, ("batch", "total_norm"): 1.0}),
        "activation_drift": probed(
            # Larger activations that drift in proportion don't count as drifting more.
            {("none", "output_wasserstein"): 10 * drift, ("none", "output_std"): 10.0}
            | {("batch", "output_wasserstein"): 1.0, ("batch", "output_std"): 1.0}
        ),
        shift: probed(
            {("none", "cosine"): 0.6, ("batch", "cosine"): cosine}
            | {("noisy batch", "ics_relative"): 0.2 * raised, ("batch", "ics_relative"): 0.2}
        ),
        "gaussianity": probed({("batch", q): value for q, value in normality.items()}),
    }


def convergence(steps=8, best=0.75, plain=0.65, seconds_a_step=2.0):
    """Accuracy over steps: the target is reached at step 2 with normalisation, at ``steps`` without."""
    rng = np.random.default_rng(3)
    rows = []
    for seed in SEEDS:
        for name, reach, final in (("batch", 2, best), ("none", steps, plain)):
            for rate in ("0.001", "0.1"):
                for step in (1, 2, 4, 8, 16):
                    high = final if step == 16 else 0.61
                    accuracy = (high if step >= reach else 0.3) - (0.3 if rate == "0.1" else 0)
                    rows.append(
                        {"seed": seed, "arm": name, "learning_rate": rate, "split": "test", "step": step}
                        | {"accuracy": accuracy + 1e-3 * rng.normal()}
                    )
    paces = {arm(arm="none"): 1.0, arm(arm="in place"): seconds_a_step, arm(arm="never"): 0.1}
    return {"evaluation": pd.DataFrame(rows), "cost": frame("seconds_per_step", paces)}


def regularisation(batch=0.75, alternative=0.70, both=0.75, train=0.78):
    test = {"none": 0.65, "batch": batch, "l2": alternative, "dropout": 0.6}
    test |= {"batch + l2": both, "batch + dropout": 0.6}
    planted = {("test", name): value for name, value in test.items()}
    planted |= {("train", "none"): 0.9, ("train", "batch"): train}
    arms = {}
    for (split, name), value in planted.items():
        # Neither precise statistics nor little data are what the rules read.
        there = {"split": split, "arm": name}
        for statistics in ("moving", "precise") if "batch" in name else ("none",):
            off = 0.2 if statistics == "precise" else 0.0
            arms[arm(**there, statistics=statistics, fraction="all", step=10)] = value - off
            arms[arm(**there, statistics=statistics, fraction="a tenth", step=20)] = 0.5
    return {"evaluation": frame("accuracy", arms)}


def knobs(no_gamma=0.7, default=0.7, shared=1.0):
    planted = {("no gamma", ""): no_gamma, ("gamma", ""): 0.7, ("tiny batch", ""): 0.4}
    planted |= {("epsilon", "0.001"): default, ("epsilon", "1e-07"): 0.7, ("epsilon", "1"): 0.3}
    arms = {}
    for (name, epsilon), value in planted.items():
        # Smaller batches take more steps, and the other statistics would turn every answer round.
        there = {"arm": name, "epsilon": epsilon, "step": 500 if "tiny" in name else 10}
        arms[arm(**there, split="test", statistics="moving")] = value
        for split, statistics in (("test", "batch"), ("test", "precise"), ("train", "moving")):
            arms[arm(**there, split=split, statistics=statistics)] = 1.0 - value
    sharing = frame("shared", {arm(arm="reuse"): shared, arm(arm="no reuse"): 0.0}, noise=0)
    return {"evaluation": frame("accuracy", arms), "sharing": sharing}


STUDIES = {
    study.__name__: study
    for study in (
        *(decay, train_flag, updates_collections, explosion, covariate_shift),
        *(convergence, regularisation, knobs),
    )
}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.id)
def test_records_that_bear_a_claim_out_support_it(claim):
    verdict = judge(CLAIMS, {name: make() for name, make in STUDIES.items()})[claim.id]
    assert verdict.answer == "supported", verdict
    assert len(verdict.findings) == len(claim.rules)


@pytest.mark.parametrize(
    ("claim", "planted"),
    [
        ("C1", {"explosion": explosion(without=0.1)}),
        ("C1", {"covariate_shift": covariate_shift(noisy=1.0)}),
        ("C2", {"covariate_shift": covariate_shift(drift=1.2)}),
        ("C2", {"covariate_shift": covariate_shift(cosine=0.6)}),
        ("C3", {"covariate_shift": covariate_shift(distance=0.2)}),
        ("C3", {"covariate_shift": covariate_shift(skewness=0.9)}),
        ("C4", {"convergence": convergence(steps=2)}),
        ("C5", {"regularisation": regularisation(train=1.0)}),
        ("C5", {"regularisation": regularisation(alternative=0.8)}),
        ("C5", {"regularisation": regularisation(both=0.8)}),
        ("C6", {"decay": decay(moving=0.6)}),
        ("C7", {"decay": decay(train=0.85)}),
        ("C8", {"knobs": knobs(no_gamma=0.65)}),
        ("C9", {"knobs": knobs(default=0.65)}),
        ("C10", {"train_flag": train_flag(alone=0.7)}),
        ("C10", {"train_flag": train_flag(by_class=0.7)}),
        ("C11", {"updates_collections": updates_collections(differ=0.0)}),
        ("C11", {"updates_collections": updates_collections(slower=1.0)}),
        ("C12", {"knobs": knobs(shared=0.5)}),
        ("C13", {"convergence": convergence(plain=0.75)}),
        ("C13", {"convergence": convergence(seconds_a_step=10.0)}),
    ],
)
def test_records_that_contradict_a_claim_refute_it(claim, planted):
    studies = {name: make() for name, make in STUDIES.items()} | planted
    assert judge(CLAIMS, studies)[claim].answer == "refuted"


@pytest.mark.parametrize("raised", [1.0, 1.05])
@pytest.mark.parametrize("noisy", [8.0, 1.0])
def test_noise_that_does_not_raise_the_shift_tells_nothing_of_its_effect(raised, noisy):
    studies = {name: make() for name, make in STUDIES.items()}
    studies["covariate_shift"] = covariate_shift(raised=raised, noisy=noisy)
    verdict = judge(CLAIMS, studies)["C1"]
    assert verdict.answer == "open"
    finding = verdict.findings[1]
    assert finding.premise.answer == "refuted"
    assert finding.premise.effect.mean == pytest.approx(np.log2(raised), abs=0.01)
    assert "does not hold, so that nothing follows" in write_finding(finding, str)
    assert write_asked(finding, LANGUAGES["en"]) == "asked: above 2.00 ×; its premise fails"
    # The correction for many questions counts the rules that can make a verdict, and no premise.
    without = replace(BY_ID["C1"], rules=tuple(replace(rule, premise=None) for rule in BY_ID["C1"].rules))
    claims = [without if claim.id == "C1" else claim for claim in CLAIMS]
    assert judge(claims, studies)["C1"].findings[1].p == finding.p


def test_largest_gradients_are_compared_within_each_training():
    tables = covariate_shift(noisy=1.0)
    health = tables["gradient_health"]
    # The training with the largest gradients hides what noise does to those of the other.
    health.loc[health["training"] == "sgd 0.1", "value"] *= 100
    other = (health["training"] == "adam 0.01") & (health["arm"] == "noisy batch")
    health.loc[other, "value"] *= 4
    finding = judge([BY_ID["C1"]], {"covariate_shift": tables, "explosion": explosion()})["C1"].findings[1]
    assert finding.effect.mean == pytest.approx(1.0, abs=0.01)


def test_without_its_records_a_claim_is_not_measured_yet():
    verdicts = judge(CLAIMS, {"decay": decay()})
    assert {v.claim.id for v in verdicts.values() if v.findings} == {"C6", "C7"}
    assert verdicts["C1"].answer == "not measured yet"
    # One of its two studies is not enough.
    assert judge(CLAIMS, {"explosion": explosion()})["C1"].answer == "not measured yet"


def test_seeds_that_disagree_leave_it_open():
    noisy = decay()
    scatter = np.random.default_rng(1).normal(0, 0.2, len(noisy["evaluation"]))
    noisy["evaluation"]["accuracy"] += scatter
    assert judge(CLAIMS, {"decay": noisy})["C6"].answer == "open"


def test_more_questions_ask_for_more_evidence():
    rng = np.random.default_rng(11)
    few = decay(moving=0.62)
    few["evaluation"]["accuracy"] += 0.006 * rng.normal(size=len(few["evaluation"]))
    alone = judge([BY_ID["C6"]], {"decay": few})["C6"]
    among_all = judge(CLAIMS, {"decay": few})["C6"]
    assert alone.answer == "supported"
    assert among_all.answer == "open"
    assert alone.findings[0].effect == among_all.findings[0].effect


def test_a_study_that_arrives_makes_no_other_verdict_stricter():
    first = judge(CLAIMS, {"decay": decay()})
    later = judge(CLAIMS, {name: make() for name, make in STUDIES.items()})
    for claim in ("C6", "C7"):
        assert later[claim].findings[0].p <= first[claim].findings[0].p


RULE = Rule("part", "study", "quantity", "contrast", 0.005, lambda tables: pd.Series(dtype=float))


@pytest.mark.parametrize(
    ("low", "high", "p", "answer"),
    [
        (0.006, 0.02, 0.01, "supported"),
        (0.006, 0.02, 0.06, "open"),
        (0.004, 0.02, 0.01, "open"),
        (-0.02, 0.004, 0.01, "refuted"),
        (-0.02, -0.01, 0.5, "open"),
        (float("nan"), float("nan"), 0.0, "open"),
    ],
)
def test_both_guards_must_agree(low, high, p, answer):
    effect = Interval((low + high) / 2, low, high, 5)
    assert decide(RULE, effect, p) == answer
    other = {"supported": "refuted", "refuted": "supported"}.get(answer, "open")
    assert decide(replace(RULE, side="below"), effect, p) == other


def test_a_seed_without_its_partner_is_an_error_and_not_left_out():
    tables = covariate_shift()
    name = "internal_covariate_shift"
    tables[name] = tables[name][lambda d: (d["seed"] != 3) | (d["arm"] == "none")]
    with pytest.raises(NotMeasuredError, match="without a partner to compare with: 3"):
        judge(CLAIMS, {"covariate_shift": tables})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "no table 'runs'"),
        ({"runs": pd.DataFrame({"seed": [0]})}, "no column 'arm' in table 'runs'; there are: seed"),
        ({"runs": pd.DataFrame({"arm": ["batch"]})}, "no rows in table 'runs' with {'arm': 'none'}"),
    ],
)
def test_what_a_recorded_study_lacks_is_named(table, message):
    with pytest.raises(NotMeasuredError, match=message):
        judge(CLAIMS, {"explosion": table})


def test_every_claim_of_the_article_has_a_complete_rule():
    assert [claim.id for claim in CLAIMS] == [f"C{i}" for i in range(1, 14)]
    for claim in CLAIMS:
        assert claim.rules
        assert any("\u4e00" <= letter <= "\u9fff" for letter in claim.original), claim.id
        for rule in claim.rules:
            assert rule.study in STUDIES
            assert all((rule.part, rule.quantity, rule.contrast))


RULES = [rule for claim in CLAIMS for rule in claim.rules]


def test_no_two_rules_have_the_same_part():
    assert len({rule.part for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.part)
def test_a_rules_label_is_short_and_says_which_way_round_it_compares(rule):
    english, chinese = label(rule, "en"), label(rule, "zh")
    assert 15 < len(english) < 110
    assert len(chinese) < 50
    assert "{" not in english + chinese
    assert re.findall(r"\d[\d.]*", english) == re.findall(r"\d[\d.]*", chinese)
    # A factor is one over the other, a difference one minus the other, and a level neither.
    compared, compared_zh = english.rpartition(", ")[2], chinese.rpartition("，")[2]
    if rule.part.startswith("test batches"):
        compared, compared_zh = english.split(", ")[1], chinese.split("，")[1]
    assert (" over " in compared) == compared_zh.endswith("之比") == (rule.unit == "factor")
    assert (" minus " in compared) == ("减" in compared_zh) == (" minus " in rule.contrast)
    first = rule.contrast.split()[0]
    if first in ("with", "without") and (" minus " in compared or " over " in compared):
        assert compared.split()[0] == first
        if "BN" in compared_zh or "gamma" in compared_zh:
            assert (compared_zh.index("无") < compared_zh.index("有")) == (first == "without")


def test_a_label_names_the_decays_that_were_run():
    rule = overfitting(0.99, 0.5)
    assert label(rule, "en").endswith(", decay 0.99 minus decay 0.5")
    assert label(rule, "zh").endswith("，decay 0.99 减 decay 0.5")


def test_a_rule_without_a_label_is_an_error():
    with pytest.raises(KeyError, match="part"):
        label(RULE, "en")


def test_only_whole_studies_are_read(tmp_path):
    recorded_runs = Path(__file__).parents[2] / "data" / "runs"
    for run in bnstudy.load("decay").runs:
        shutil.copytree(recorded_runs / run, tmp_path / "runs" / run)
    assert list(recorded(CLAIMS, tmp_path)) == ["decay"]
    next((tmp_path / "runs").iterdir()).rename(tmp_path / "elsewhere")
    assert recorded(CLAIMS, tmp_path) == {}
