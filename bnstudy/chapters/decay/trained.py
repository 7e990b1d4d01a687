"""What the second round's networks lose to their moving averages, by decay and phase of training."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.blocks.core import LAGGING
from bnstudy.chapters.decay import curve, figures
from bnstudy.chapters.decay.rules import PARTS, accuracy, difference, error_split
from bnstudy.chapters.shown import Shown

BLOCK = "core"

PLAIN = {"statistics": "moving", "zero_debias": "none"}
USUAL, LARGE = 0.9, 0.999


def described(shown: Shown) -> str:
    """Return sentences, the split of the loss, and a table of every choice of statistics."""
    return "".join(
        (
            curve.described(shown),
            shown.drawing(
                figures.error_by_decay(to_split(shown)),
                f"trained-split-{shown.language}",
                _split_in_words(shown),
                shown.write.say(
                    "The second round's networks before and after annealing: test accuracy lost to precise "
                    "statistics of the same weights, split into what each remedy wins back. Bars: 95 % intervals "
                    "over seeds (Student's t); no verdict rests on them. Decay 0 is left out: with frozen weights its "
                    "average would be the last batch of a pass alone, which is smaller than the others.",
                    "第二轮的网络在退火前后：与同一组权重的精确统计量相比，测试准确率的降幅，按每种补救办法能恢复多少来拆分。"
                    "误差线：随机种子之间的 95% 置信区间（t 分布），不作判定之用。图中没有衰减率 0：权重固定时，它的滑动平均只剩整遍数据的最后一批，"
                    "而那一批的图像比别的批少。",
                ),
            ),
            shown.seen(_early(shown)),
            f"<p>{_late(shown)}</p>",
            shown.table(table(shown)),
        )
    )


def _cost_of_a_large_decay(shown: Shown) -> str:
    cost = shown.lost(_mean_lost(early(shown), {**PLAIN, "decay": USUAL}, {**PLAIN, "decay": LARGE}, "test"))
    first, last = f"{LAGGING[0]:g}", f"{LAGGING[-1]:g}"
    return shown.write.say(
        f"Early on decay {LARGE:g} costs {cost} points against {USUAL:g}.",
        f"恒定学习率下，衰减率 {LARGE:g} 与 {USUAL:g} 相比，测试准确率的降幅为 {cost} 个百分点（第 {first}～{last} 个 epoch 结束时各评估一次，取平均）。",
    )


FIRST = {"C7": _cost_of_a_large_decay}


def _waits(shown: Shown) -> str:
    """Return what the usual decay loses to precise statistics, before annealing and after it."""
    rows = by_phase(shown)
    lost = {}
    for phase in shown.phases:
        now = rows[rows["schedule"] == phase]
        apart = paired(accuracy(now, statistics="precise"), accuracy(now, **PLAIN, decay=USUAL))
        lost[phase] = shown.short(apart)
    return shown.write.say(
        f"Without that recalibration even decay {USUAL:g} costs {lost['constant']} points of test accuracy before the "
        f"learning rate is annealed, {lost['annealed']} after it.",
        f"不重新校准，即使衰减率为 {USUAL:g}，测试准确率在退火前也要低 {lost['constant']} 个百分点，退火后低 {lost['annealed']} 个百分点。",
    )


def _large(shown: Shown) -> str:
    """Return what a large decay costs against the usual one: early on, and at the end."""
    usual, large = {**PLAIN, "decay": USUAL}, {**PLAIN, "decay": LARGE}
    first = shown.short(_mean_lost(early(shown), usual, large, "test"))
    rows = by_phase(shown)
    annealed = rows[rows["schedule"] == "annealed"]
    end = shown.short(paired(accuracy(annealed, **usual), accuracy(annealed, **large)))
    epochs = f"{LAGGING[0]:g}", f"{LAGGING[-1]:g}"
    return shown.write.say(
        f"A larger decay only lags behind the weights, which are the same: after epochs {epochs[0]} to {epochs[1]}, {LARGE:g} "
        f"costs {first} points of test accuracy against {USUAL:g}; once the learning rate is annealed, {end}.",
        f"衰减率更大，滑动平均只会更跟不上权重的变化，而权重完全相同：与 {USUAL:g} 相比，用 {LARGE:g} 时测试准确率低 {first} 个百分点"
        f"（第 {epochs[0]}～{epochs[1]} 个 epoch 结束时的平均）；学习率退火（逐渐降到零）之后只低 {end} 个百分点。",
    )


IN_SHORT = {"C6": _waits, "C7": _large}


def _steadier(shown: Shown) -> str:
    """Return how far averages of the usual decay are ahead of the last batch and of each test batch."""
    rows = by_phase(shown)
    ahead = {}
    for phase in shown.phases:
        now = rows[rows["schedule"] == phase]
        usual = accuracy(now, **PLAIN, decay=USUAL)
        for other, theirs in (
            ("last", accuracy(now, **PLAIN, decay=0.0)),
            ("own", accuracy(now, statistics="batch")),
        ):
            ahead[phase, other] = shown.write.points(paired(usual, theirs), mean_interval)
    return shown.write.say(
        f"Averages of decay {USUAL:g} are ahead of the last batch's statistics (decay 0) by {ahead['annealed', 'last']} "
        f"points after annealing and by {ahead['constant', 'last']} before it, and of each test batch's own by "
        f"{ahead['annealed', 'own']} and {ahead['constant', 'own']}.",
        f"测试准确率之差，衰减率 {USUAL:g} 的滑动平均减最后一批的统计量（衰减率 0）：退火后 {ahead['annealed', 'last']} 个百分点，退火前 "
        f"{ahead['constant', 'last']} 个百分点；减每个测试批自身的统计量：退火后 {ahead['annealed', 'own']} 个百分点，退火前 "
        f"{ahead['constant', 'own']} 个百分点。",
    )


def _lagging(shown: Shown) -> str:
    """Return what a large decay and the usual one lose to precise statistics, before and after annealing."""
    rows = by_phase(shown)
    lost = {}
    for phase in shown.phases:
        now = rows[rows["schedule"] == phase]
        for decay in (LARGE, USUAL):
            apart = paired(accuracy(now, statistics="precise"), accuracy(now, **PLAIN, decay=decay))
            lost[phase, decay] = shown.lost(apart)
    return shown.write.say(
        f"Decay {LARGE:g} loses {lost['constant', LARGE]} points to precise statistics of the same weights before "
        f"annealing and {lost['annealed', LARGE]} after it, decay {USUAL:g} {lost['constant', USUAL]} and "
        f"{lost['annealed', USUAL]}.",
        f"与同一组权重的精确统计量相比，测试准确率的降幅：衰减率 {LARGE:g}，退火前 {lost['constant', LARGE]} 个百分点，退火后 "
        f"{lost['annealed', LARGE]} 个百分点；衰减率 {USUAL:g}，退火前 {lost['constant', USUAL]} 个百分点，退火后 "
        f"{lost['annealed', USUAL]} 个百分点。",
    )


CARRIED = {"C6": _steadier, "C7": _lagging}


def by_phase(shown: Shown) -> pd.DataFrame:
    """Return the evaluations of test images before and after annealing, the phase as their schedule."""
    rows = [
        shown.at("checkpoints", epoch).assign(schedule=phase, step=0) for phase, epoch in shown.phases.items()
    ]
    both = pd.concat(rows, ignore_index=True)
    return both[(both["split"] == "test") & (both["statistics"] != "none")]


def to_split(shown: Shown) -> pd.DataFrame:
    """Return the same without decay 0, whose loss doesn't part into staleness and noise here.

    With frozen weights its average is the last batch of the pass over the training images alone, which may be
    smaller than a batch of training: that is no remedy for staleness, but more noise.
    """
    rows = by_phase(shown)
    kept: pd.DataFrame = rows[rows["decay"].isna() | (rows["decay"] > 0)]
    return kept


def early(shown: Shown) -> pd.DataFrame:
    """Return the evaluations while averages of a large decay lag: epochs 3 to 8, at a constant rate."""
    rows = [shown.at("checkpoints", epoch).assign(schedule="constant") for epoch in LAGGING]
    return pd.concat(rows, ignore_index=True)


def table(shown: Shown) -> pd.DataFrame:
    """Return test accuracy and loss by choice of statistics and phase: mean [95 % interval]."""
    say = shown.write.say
    rows = by_phase(shown)
    named = {
        "batch": say("the test batch's own", "测试批自身的统计量"),
        "precise": say("precise", "精确统计量"),
        "moving": say("moving average", "滑动平均"),
    }
    lines = []
    kept = rows[
        (rows["statistics"] != "frozen") & (rows["zero_debias"].isna() | (rows["zero_debias"] == "none"))
    ]
    for (statistics, decay), choice in kept.fillna({"decay": -1.0}).groupby(["statistics", "decay"]):
        line = {
            say("statistics", "统计量"): named[str(statistics)],
            say("decay", "衰减率"): f"{decay:g}" if float(str(decay)) >= 0 else "",
        }
        for phase, head in shown.phase_names.items():
            now = choice[choice["schedule"] == phase].set_index("seed")
            line[say(f"{head}: test accuracy, %", f"{head}：测试准确率（%）")] = in_percent(now["accuracy"])
            line[say(f"{head}: test loss", f"{head}：测试损失")] = mean_interval(now["loss"]).plain(3)
        lines.append(line)
    return pd.DataFrame(lines)


def _early(shown: Shown) -> str:
    rows = early(shown)
    lost = {
        decay: _mean_lost(rows, {"statistics": "precise"}, {**PLAIN, "decay": decay}, "test")
        for decay in (USUAL, LARGE)
    }
    apart = {
        split: _mean_lost(rows, {**PLAIN, "decay": USUAL}, {**PLAIN, "decay": LARGE}, split)
        for split in ("test", "train")
    }
    epochs = f"{LAGGING[0]:g}", f"{LAGGING[-1]:g}"
    seeds = shown.write.cite(str(rows["seed"].nunique()))
    usual, large = shown.lost(lost[USUAL]), shown.lost(lost[LARGE])
    test, train = shown.lost(apart["test"]), shown.lost(apart["train"])
    return shown.write.say(
        f"In the second round's networks ({seeds} seeds), after epochs {epochs[0]} to {epochs[1]} at a constant "
        f"rate, averages of decay {LARGE:g} lose {large} points of test accuracy to precise statistics of the "
        f"same weights, those of decay {USUAL:g} lose {usual}. Against decay {USUAL:g}, decay {LARGE:g} costs "
        f"{test} points on test images, and {train} on training images.",
        f"第二轮的网络（{seeds} 个随机种子），恒定学习率下，第 {epochs[0]}～{epochs[1]} 个 epoch 结束时各评估一次，取平均：与同一组权重的"
        f"精确统计量相比，测试准确率的降幅在衰减率 {LARGE:g} 时为 {large} 个百分点，在衰减率 {USUAL:g} 时为 {usual} 个百分点。衰减率 "
        f"{LARGE:g} 与 {USUAL:g} 相比，测试准确率的降幅为 {test} 个百分点，训练准确率的降幅为 {train} 个百分点。",
    )


def _late(shown: Shown) -> str:
    rows = by_phase(shown)
    said = []
    for phase, epoch in shown.phases.items():
        now = rows[rows["schedule"] == phase]
        precise = accuracy(now, statistics="precise")
        lost = {
            decay: shown.lost(paired(precise, accuracy(now, **PLAIN, decay=decay)))
            for decay in sorted(now["decay"].dropna().unique())
        }
        own = shown.lost(paired(precise, accuracy(now, statistics="batch")))
        listed = ", ".join(f"{value} (decay {decay:g})" for decay, value in lost.items())
        zh = "、".join(f"{value}（衰减率 {decay:g}）" for decay, value in lost.items())
        when = {"constant": "before annealing", "annealed": "after it"}[phase]
        wann = {"constant": "退火前", "annealed": "退火后"}[phase]
        said.append(
            shown.write.say(
                f"{when.capitalize()} (epoch {epoch:g}) moving averages lose {listed} points to precise statistics, "
                f"and the test batch's own {own}.",
                f"{wann}（第 {epoch:g} 个 epoch 结束时），与精确统计量相比，测试准确率降低的百分点：滑动平均 {zh}，测试批自身的统计量 {own}。",
            )
        )
    return shown.write.say(" ", "").join(said)


def _split_in_words(shown: Shown) -> str:
    say = shown.write.say
    split = error_split(to_split(shown))
    said = []
    for phase in shown.phases:
        for part in PARTS:
            rows = split[(split["schedule"] == phase) & (split["part"] == part)]
            values = rows.groupby("decay")["loss_of_accuracy"].mean()
            listed = [
                say(f"{decay:g}: {_tenths(value)}", f"衰减率 {decay:g} 为 {_tenths(value)}")
                for decay, value in values.items()
            ]
            said.append(
                say(
                    f"{phase} rate, {part}, points by decay {', '.join(listed)}",
                    f"{shown.phase_names[phase]}，{chinese(part) or part}（百分点）：{'，'.join(listed)}",
                )
            )
    return say(f"Points with error bars: {'; '.join(said)}.", f"带误差线的点图：{'；'.join(said)}。")


def _tenths(share: float) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(100 * share, 1) + 0.0:.1f}"


def _mean_lost(
    rows: pd.DataFrame, better: dict[str, object], worse: dict[str, object], split: str
) -> pd.Series[float]:
    """Return each seed's mean difference in accuracy over the checkpoints."""
    of_split = {"split": split}
    means: pd.Series[float] = difference(rows, better | of_split, worse | of_split).groupby("seed").mean()
    return means
