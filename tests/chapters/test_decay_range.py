"""The chapter on decay's other settings on planted tables: what it selects and says; that it runs."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.chapters.claims import CLAIMS
from bnstudy.chapters.decay_range import figures
from bnstudy.chapters.decay_range import rules as dr
from bnstudy.chapters.decay_range.page import DecayRangeChapter
from bnstudy.chapters.decay_range.study import DecayRangeStudy
from tests import notebooks

matplotlib.use("agg")

DECAYS = (0.0, 0.9, 0.999)
STEPS = {"centre": 400, "learning rate 0.01": 400, "batch size 32": 1600}
# Moving averages of the usual decay minus batch statistics: C6's contrast.
SMOOTHED = {"centre": 0.05, "learning rate 0.01": -0.05, "batch size 32": 0.06}
# What averages lose to age on both splits, by setting; decay 0 loses nothing, the large one twice as much.
STALE = {"centre": 0.03, "learning rate 0.01": 0.1, "batch size 32": 0.0}
# What a moving average loses on test images alone.
WIDER = {"centre": 0.0, "learning rate 0.01": 0.0, "batch size 32": 0.04}
AGE = {0.0: 0.0, 0.9: 1.0, 0.999: 2.0}
NOISE = {0.0: 0.02, 0.9: 0.001, 0.999: 0.0}
START = {0.0: 0.0, 0.9: 0.0, 0.999: 0.2}


def evaluated(setting, seed, split, rng, decays, noise):
    """Yield each way of evaluating and the accuracy planted for it."""
    precise = 0.7 + 0.01 * seed + (0.1 if split == "train" else 0.0)
    yield "precise", None, None, precise
    for decay in decays:
        own = noise * rng.uniform(-1, 1, size=4)
        frozen = precise - NOISE[decay] + own[0]
        fresh = frozen - STALE[setting] * AGE[decay] + own[1]
        plain = fresh - START[decay] + own[2] - (WIDER[setting] * AGE[decay] if split == "test" else 0.0)
        yield "frozen", decay, "both", frozen
        yield "moving", decay, "both", fresh
        yield "moving", decay, "none", plain
        if decay == 0.9:
            yield "batch", None, None, plain - SMOOTHED[setting] + own[3]


def tables(settings=tuple(STEPS), seeds=5, decays=DECAYS, diverged=(), noise=0.0001):
    """Plant a study; ``diverged`` are the setting and seed of each run that ended after its step 50."""
    rng = np.random.default_rng(8)
    lines, runs = [], []
    for setting in settings:
        for seed in range(seeds):
            name, wild = f"{setting} {seed}", (setting, seed) in diverged
            outcome = "diverged at step 60" if wild else "finished"
            runs.append(
                {"run": name, "setting": setting, "seed": seed, "outcome": outcome, "diverged": int(wild)}
            )
            for step in (50, STEPS[setting]):
                if wild and step > 50:
                    continue
                for split in ("test", "train"):
                    for statistics, decay, debias, accuracy in evaluated(
                        setting, seed, split, rng, decays, noise
                    ):
                        lines.append(
                            {"run": name, "setting": setting, "seed": seed, "step": step, "split": split}
                            | {"statistics": statistics, "decay": decay, "zero_debias": debias}
                            # What came before the last step is of no account.
                            | {"accuracy": 0.1 if step == 50 else accuracy}
                        )
    return {"runs": pd.DataFrame(runs), "evaluation": pd.DataFrame(lines).sample(frac=1, random_state=4)}


def chapter(made, seeds=5, **parameters):
    settings = {"learning_rates": (0.01,), "batch_sizes": (32,), "decays": DECAYS, **parameters}
    return DecayRangeChapter(made, DecayRangeStudy(dataset="digits", seeds=seeds, **settings), ["aa", "bb"])


def plain(text):
    return re.sub(r"<a [^>]*>|</a>", "", text)


def answers(verdict):
    return {finding.rule.part: finding.answer for finding in verdict.findings}


def test_contrasts_and_bounds_are_those_of_the_claims():
    own = {claim.id: claim.rules for claim in dr.same_answer(["centre", "batch size 32"])}
    assert list(own) == ["C6", "C7"]
    for claim in CLAIMS:
        for rule in own.get(claim.id, ()):
            (first,) = claim.rules
            for field in ("quantity", "contrast", "threshold", "side", "unit"):
                assert getattr(rule, field) == getattr(first, field)


def test_a_setting_is_measured_at_its_own_last_step():
    made = tables()
    last = made["evaluation"][made["evaluation"]["step"] == made["evaluation"]["setting"].map(STEPS)]
    held = {
        (
            r.setting,
            r.seed,
            r.split,
            r.statistics,
            r.decay if r.decay == r.decay else None,
            r.zero_debias,
        ): r.accuracy
        for r in last.astype({"zero_debias": object}).where(last.notna(), None).itertuples()
    }
    contrasts = chapter(made).contrasts()
    for setting in STEPS:
        for seed in range(5):

            def got(split, statistics, decay=None, debias=None, at=(setting, seed)):
                return held[(*at, split, statistics, decay, debias)]

            usual = got("test", "moving", 0.9, "none")
            assert contrasts["C6"][setting][seed] == pytest.approx(usual - got("test", "batch"))
            gaps = [
                got("train", "moving", d, "none") - got("test", "moving", d, "none") for d in (0.999, 0.9)
            ]
            assert contrasts["C7"][setting][seed] == pytest.approx(gaps[0] - gaps[1])


@pytest.mark.parametrize(
    ("steps", "decay"), [(1, 0.0), (9, 0.0), (10, 0.9), (999, 0.9), (1000, 0.999), (10_000, 0.9999)]
)
def test_a_decay_fits_if_its_window_does(steps, decay):
    evaluation = pd.DataFrame({"step": steps, "decay": [0.0, 0.9, 0.999, 0.9999, np.nan]})
    assert dr.fitting_decay(evaluation) == decay


def test_where_no_decay_fits_that_is_said():
    with pytest.raises(NotMeasuredError, match="the window of no decay fits into 9 steps"):
        dr.fitting_decay(pd.DataFrame({"step": 9, "decay": [0.9, 0.99]}))


def test_the_parts_and_the_gap_are_those_planted():
    made = chapter(tables())
    assert made.fitting == {"centre": 0.9, "learning rate 0.01": 0.9, "batch size 32": 0.999}
    losses = made.losses()
    for setting, decay in made.fitting.items():
        assert losses["staleness"][setting].mean() == pytest.approx(STALE[setting] * AGE[decay], abs=1e-3)
        assert losses["overfitting"][setting].mean() == pytest.approx(WIDER[setting] * AGE[decay], abs=1e-3)
        assert list(losses["staleness"][setting].index) == list(range(5))
    parts = made.parts.groupby(["setting", "decay", "part"])["loss_of_accuracy"].mean()
    assert parts["batch size 32", 0.999, "initialisation bias"] == pytest.approx(0.2 + 0.08, abs=1e-3)
    assert parts["centre", 0.0, "sampling noise"] == pytest.approx(0.02, abs=1e-3)
    assert len(parts) == 3 * 3 * 3


def cells(figure):
    """Return what stands in the cells of a map: by title, a list of rows."""
    return {
        axis.get_title(loc="left"): [
            [text.get_text() for text in axis.texts][row * len(DECAYS) : (row + 1) * len(DECAYS)]
            for row in range(len(axis.texts) // len(DECAYS))
        ]
        for axis in figure.axes
    }


def planted_loss(setting, decay):
    return 100 * (NOISE[decay] + (STALE[setting] + WIDER[setting]) * AGE[decay] + START[decay])


def test_the_map_has_what_each_decay_loses_and_frames_the_one_that_fits():
    made = chapter(tables(noise=0.0))
    figure = figures.points_lost(made.lost, made.fitting, made.rows)
    assert made.rows == {
        "learning rate": {"0.001": "centre", "0.01": "learning rate 0.01"},
        "batch size": {"32": "batch size 32", "128": "centre"},
    }
    assert cells(figure) == {
        kind: [[f"{planted_loss(setting, decay):.1f}" for decay in DECAYS] for setting in rows.values()]
        for kind, rows in made.rows.items()
    }
    framed = [[frame.get_xy() for frame in axis.patches] for axis in figure.axes]
    assert framed == [[(1, 0), (1, 1)], [(2, 0), (1, 1)]]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["0.001", "0.01"]
    plt.close("all")
    assert made.loss_table().set_index("decay").loc["0.999", "batch size 32"] == "28.0 [28.0, 28.0]"


def test_the_map_is_described_by_its_mildest_decay_and_the_reach_of_a_large_one():
    decays = DECAYS[1:]
    made = chapter(tables(noise=0.0, decays=decays), decays=decays)
    assert plain(made.finding()) == (
        "decay 0.9 loses at most 10.1 points [10.1, 10.1] (learning rate 0.01) against precise statistics of "
        "the same weights; decay 0.999 loses from 26.0 points [26.0, 26.0] (centre) to 40.0 points "
        "[40.0, 40.0] (learning rate 0.01)."
    )
    assert made.finding().count("data-behind") == 3
    seen = made.finding("zh")
    assert plain(seen) == (
        "与同一组权重的精确统计量相比，测试准确率的降幅在衰减率 0.9 时最多为 10.1 个百分点 "
        "[10.1, 10.1]（学习率 0.01）；"
        "在衰减率 0.999 时从 26.0 个百分点 [26.0, 26.0]（中心设置）到 "
        "40.0 个百分点 [40.0, 40.0]（学习率 0.01）。"
    )
    assert seen.count("data-behind") == 3
    # A setting with a diverged run is left out, and its cell is the others' mean.
    wild = chapter(tables(noise=0.0, diverged=[("learning rate 0.01", 3)]))
    assert "to 28.0 points [28.0, 28.0] (batch size 32)." in plain(wild.finding())
    drawn = cells(figures.points_lost(wild.lost, wild.fitting, wild.rows))
    assert drawn["learning rate"][1] == ["2.0", "10.1", "40.0"]
    plt.close("all")


def test_answers_follow_what_was_planted():
    made = chapter(tables())
    assert answers(made.same.verdicts["C6"]) == {
        "centre": "supported",
        "learning rate 0.01": "refuted",
        "batch size 32": "supported",
    }
    assert answers(made.causes.verdicts["staleness"]) == {
        "centre": "supported",
        "learning rate 0.01": "supported",
        "batch size 32": "refuted",
    }
    assert answers(made.causes.verdicts["overfitting"]) == {
        "centre": "refuted",
        "learning rate 0.01": "refuted",
        "batch size 32": "supported",
    }
    said = plain(made.answer())
    assert (
        "C6's contrast is supported at the centre and, of 2 other settings, the same at 1, another at 1"
        in said
    )
    assert (
        "**Of 2 other settings, the centre's answer by the first round's rules, which are exploratory, is "
        "known to hold at 1 for C6 and at 1 for C7.**" in said
    )
    assert "stale statistics at 2 and to overfitting at 1." in said
    assert (
        "C7's contrast is refuted at the centre and, of 2 other settings, the same at 1, another at 1" in said
    )
    assert "stale statistics: yes at 2, no at 1." in said
    assert "training and test accuracy: yes at 1, no at 2." in said
    assert "-5.0 percentage points [-5.0, -5.0] (learning rate 0.01) to +6.0 percentage" in said
    shown = made.contrast_table().set_index(["contrast of", "setting"])
    assert shown.loc[("C6", "centre"), "as at the centre"] == "–"
    assert shown.loc[("C6", "learning rate 0.01"), "as at the centre"] == "another"
    assert shown.loc[("C6", "learning rate 0.01"), "minus the centre's"].startswith("-10.0 [")
    assert shown.loc[("C6", "batch size 32"), "as at the centre"] == "the same"


def test_the_chinese_page_counts_the_same_settings():
    made = chapter(tables())
    english, said = plain(made.answer()), plain(made.answer_in_chinese())
    stale, overfits = re.search(r"stale statistics at (\d+) and to overfitting at (\d+)", english).groups()
    assert f"统计量滞后的有 {stale} 种，能够断定是过拟合的有 {overfits} 种" in said
    for claim in ("C6", "C7"):
        counted = re.search(rf"{claim}'s contrast is .*", english)[0]
        listed = re.search(rf"{claim}：中心设置.*?。", said)[0]
        # Beside the claim's own number: of how many settings, and how many of each kind.
        assert re.findall(r"\b\d+\b", counted.split(" of ")[1]) == re.findall(r" (\d+) 种", listed)
    ends = re.findall(r"[-+]?\d+\.\d+ percentage points \[[^]]*\]", english)
    assert re.findall(r"[-+]?\d+\.\d+ 个百分点 \[[^]]*\]", said) == [
        end.replace("percentage points", "个百分点") for end in ends
    ]
    alone = chapter(tables(("centre",)), learning_rates=[], batch_sizes=[])
    assert "没有其他设置" in plain(alone.answer_in_chinese())


def test_two_settings_agree_only_where_both_decide():
    made = tables()
    # The centre's contrast gets a spread that leaves it open.
    batch = (made["evaluation"]["setting"] == "centre") & (made["evaluation"]["statistics"] == "batch")
    made["evaluation"].loc[batch, "accuracy"] += 0.2 * (made["evaluation"]["seed"] - 2)
    verdict = chapter(made).same.verdicts["C6"]
    assert answers(verdict)["centre"] == "open"
    assert dr.agreement(verdict, "batch size 32", "centre") == "open"
    assert dr.agreement(verdict, "batch size 32", "learning rate 0.01") == "another"
    assert dr.agreement(verdict, "batch size 32", "learning rate 0.5") == "not measured"


def test_each_family_has_a_correction_of_its_own():
    made = chapter(tables(noise=0.03))
    for own in (made.same, made.causes):
        raw, adjusted = {}, {}
        for name, verdict in own.verdicts.items():
            for f in verdict.findings:
                raw[name, f.rule.part] = stats.ttest_1samp(
                    f.rule.measure(made.tables), f.rule.threshold
                ).pvalue
                adjusted[name, f.rule.part] = f.p
        assert len(raw) == 2 * 3
        least = min(raw, key=raw.get)
        assert raw[least] > 1e-9
        assert adjusted[least] == pytest.approx(min(1.0, 6 * raw[least]))


def test_a_setting_with_a_diverged_run_has_no_answers_but_numbers():
    made = chapter(tables(diverged=[("batch size 32", 3)]))
    for own in (made.same, made.causes):
        for verdict in own.verdicts.values():
            assert set(answers(verdict)) == {"centre", "learning rate 0.01"}
    assert "C6, *batch size 32*, can't be measured: 1 of 5 seeds diverged." in made.answer()
    assert "the same at 0" not in plain(made.answer())
    assert "not measured at 1" in plain(made.answer())
    causes = made.cause_table().set_index("setting")
    assert causes.loc["batch size 32", "decay"] == "–"
    assert causes.loc["batch size 32", "staleness?"] == "not measured"
    numbers = made.table().set_index(["statistics", "decay"])
    assert numbers.loc[("seeds that came to their end", ""), "batch size 32"] == "4 of 5"
    # Seeds 0, 1, 2 and 4; what the fifth reached before it diverged isn't there.
    assert numbers.loc[("precise statistics", ""), "batch size 32"].startswith("71.8 ")
    assert made.parts[made.parts["setting"] == "batch size 32"]["seed"].nunique() == 4


@pytest.mark.parametrize("lost", [("centre",), tuple(STEPS)])
def test_settings_whose_runs_all_diverged_break_nothing(lost):
    made = chapter(tables(diverged=[(setting, seed) for setting in lost for seed in range(5)]))
    said = plain(made.answer())
    assert "C6's contrast is not measured at the centre" in said
    assert "not measured at 2" in said
    assert made.table().set_index("statistics").loc["seeds that came to their end", "centre"] == "0 of 5"
    assert len(made.contrast_table()) == 2 * 3
    causes = made.cause_table()
    assert causes["training steps"].iloc[0] == "–"
    assert list(causes) == list(chapter(tables()).cause_table())
    figures.points_lost(made.lost, made.fitting, made.rows)
    assert len(made.you_see()) > 0 or lost == tuple(STEPS)
    figures.contrasts(made.contrasts(), made.settings)
    figures.parts_by_decay(made.parts, made.fitting, made.settings)
    figures.causes(made.losses(), made.fitting, made.settings)
    plt.close("all")


def test_what_was_not_run_is_said():
    made = chapter(
        tables(["centre"], decays=(0.0, 0.9)), learning_rates=(), batch_sizes=(), decays=(0.0, 0.9)
    )
    said = plain(made.answer())
    assert "C6's contrast is supported at the centre, and there is no other setting" in said
    assert "C7, *centre*, can't be measured: decay 0.999 was not run." in said
    assert made.contrast_table()["answer"].tolist() == ["supported", "not measured"]


def test_two_seeds_give_intervals():
    made = chapter(tables(seeds=2), seeds=2)
    assert "nan" not in made.answer()
    assert not made.contrast_table()["effect [95 %]"].str.contains("nan").any()


def test_figures_show_every_seed_of_every_setting():
    made = chapter(tables())
    for axis in figures.contrasts(made.contrasts(), made.settings).axes:
        seeds = [line for line in axis.lines if len(line.get_xdata()) == 5]
        assert len(seeds) == 3
    (first, _) = figures.contrasts(made.contrasts(), made.settings).axes
    seeds = [line.get_xdata() for line in first.lines if len(line.get_xdata()) == 5]
    assert [values.mean() for values in seeds] == pytest.approx([5.0, -5.0, 6.0], abs=0.02)
    parts = figures.parts_by_decay(made.parts, made.fitting, made.settings)
    assert [axis.get_title(loc="left") for axis in parts.axes] == made.settings
    for axis in parts.axes:
        assert sum(len(line.get_ydata()) == 5 for line in axis.lines) == 3 * 3
        assert len(axis.patches) == 1
    (axis,) = figures.causes(made.losses(), made.fitting, made.settings).axes
    assert sum(len(line.get_xdata()) == 5 for line in axis.lines) == 3 * 2
    assert [label.get_text() for label in axis.get_yticklabels()][2] == "batch size 32, decay 0.999"
    plt.close("all")


SMALL = """
dataset: digits
train_size: 64
epochs: 1
seeds: 2
decays: [0.0, 0.9]
learning_rates: []
batch_size: 32
batch_sizes: [16]
precision: float32
"""


def test_the_chapter_trains_what_it_shows(tmp_path):
    shown = notebooks.execute("decay_range", tmp_path, SMALL)
    assert len(list((tmp_path / "runs").iterdir())) == 4
    assert sum("image/svg+xml" in data for data in shown) == 4
    (answer,) = (text for data in shown if "at the centre" in (text := data.get("text/markdown", "")))
    assert "C7, *batch size 16*, can't be measured: decay 0.999 was not run." in answer
