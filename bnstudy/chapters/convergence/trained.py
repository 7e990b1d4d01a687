"""The second round's two networks: steps to each target accuracy, and where both end, annealed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bnstudy.analysis.judged.times import arrival
from bnstudy.analysis.statistics import Interval, mean_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.chapters.convergence import figures
from bnstudy.chapters.convergence.judged import TARGETS
from bnstudy.chapters.shown import Shown

BLOCK = "core"

USUAL = 0.9
ARMS = ("none", "batch")


def described(shown: Shown) -> str:
    """Return the ladder of targets, how far apart the two networks end, and a table of both ends."""
    rungs = ladder(shown)
    return "".join(
        (
            shown.drawing(
                figures.ladder(rungs),
                f"trained-ladder-{shown.language}",
                _ladder_in_words(shown, rungs),
                shown.write.say(
                    "Training steps to each target of test accuracy, each network at its best rate. Small marks: every "
                    "seed, hollow at the end of training where it never arrived; large marks and bars: geometric means "
                    "and 95 % intervals (Student's t, on the logarithm).",
                    "达到各目标测试准确率所需的训练步数，各取最佳学习率。小点为各随机种子，未达到目标的以空心点画在训练结束处；"
                    "大点和误差线为几何平均和 95% 置信区间（t 分布，取对数）。",
                ),
            ),
            shown.seen(_climbed(shown, rungs)),
            f"<p>{_sentences(shown)}</p>",
            shown.table(table(shown)),
            _dashes(shown),
        )
    )


def _dashes(shown: Shown) -> str:
    """Return what a dash in the table says, if it has any."""
    seen = [own(shown, epoch, arm, "train") for epoch in shown.phases.values() for arm in ARMS]
    if not any(rows.empty for rows in seen):
        return ""
    return f"<p>{shown.write.say('A dash: not evaluated there.', '“–”表示在那时没有评估。')}</p>"


def _faster(shown: Shown) -> str:
    return _climbed(shown, ladder(shown))


def _higher(shown: Shown) -> str:
    end = shown.phases["annealed"]
    test = [own(shown, end, arm, "test") for arm in ("batch", "none")]
    points, loss = (paired(*(rows[value] for rows in test)) for value in ("accuracy", "loss"))
    accuracy, nats = shown.write.points(points, mean_interval), shown.write.number(loss)
    return shown.write.say(
        f"After annealing the network with batch norm is ahead by {accuracy} points of test accuracy, and by {nats} "
        "of test loss (nats; negative is better).",
        f"退火之后，有批归一化与无批归一化相比，测试准确率相差 {accuracy} 个百分点，测试损失相差 {nats}（nat；负值表示损失更小）。",
    )


CARRIED = {"C4": _faster, "C13": _higher}


def ladder(shown: Shown) -> pd.DataFrame:
    """Return the step at which each run arrives at each target: target, arm, seed, step, arrived.

    One that never does stands at the last evaluated step of all, and has not ``arrived``.
    """
    courses = shown.frames["arrivals"].sort_values("step")
    horizon = float(courses["step"].max())
    lines = []
    for (arm, seed), course in courses.groupby(["arm", "seed"]):
        for target in TARGETS:
            step = arrival(course, target)
            arrived = math.isfinite(step)
            lines.append(
                {
                    "target": target,
                    "arm": arm,
                    "seed": seed,
                    "step": step if arrived else horizon,
                    "arrived": arrived,
                }
            )
    return pd.DataFrame(lines)


def factor(rungs: pd.DataFrame, target: float) -> tuple[Interval, str]:
    """Return log2 of the steps without over those with batch norm, and the bound that it is, if it is one:
    ``"at least"``, ``"at most"`` or ``"unknown"``."""
    rows = rungs[rungs["target"] == target]
    without, with_ = (rows[rows["arm"] == arm].set_index("seed") for arm in ARMS)
    logs = paired(np.log2(without["step"]), np.log2(with_["step"]))
    late = not without["arrived"].all(), not with_["arrived"].all()
    bound = {(False, False): "", (True, False): "at least", (False, True): "at most", (True, True): "unknown"}
    return mean_interval(logs), bound[late]


def _climbed(shown: Shown, rungs: pd.DataFrame) -> str:
    write = shown.write
    said: dict[str, list[str]] = {"en": [], "zh": []}
    for target in TARGETS:
        found, bound = factor(rungs, target)
        if bound == "unknown":
            said["en"].append(f"to {target:.0%} neither network always arrives")
            said["zh"].append(f"达到 {target:.0%}：两个网络都有未达到的种子")
            continue
        times = shown.times(found)
        zh = {"": "", "at least": "至少 ", "at most": "至多 "}[bound]
        said["en"].append(f"{bound} {times} times the steps to {target:.0%}".strip())
        said["zh"].append(f"达到 {target:.0%}：{zh}{times} 倍")
    seeds = write.cite(str(rungs["seed"].nunique()))
    return write.say(
        f"Without batch norm training takes {', '.join(said['en'])} ({seeds} seeds).",
        f"达到同样的测试准确率所需的步数，无批归一化与有批归一化之比（{seeds} 个随机种子）：{'；'.join(said['zh'])}。",
    )


def _ladder_in_words(shown: Shown, rungs: pd.DataFrame) -> str:
    say = shown.write.say
    names = {"none": say("without batch norm", "无批归一化"), "batch": say("with batch norm", "有批归一化")}
    said = []
    for target in TARGETS:
        for arm in ARMS:
            rows = rungs[(rungs["target"] == target) & (rungs["arm"] == arm)]
            mean = math.exp(np.log(rows["step"]).mean())
            late = "" if rows["arrived"].all() else say("at least ", "至少 ")
            said.append(
                say(
                    f"{target:.0%} {names[arm]}: {late}{mean:,.0f} steps",
                    f"{target:.0%}，{names[arm]}：{late}{mean:,.0f} 步",
                )
            )
    listed = say("; ", "；").join(said)
    return say(
        f"Points with error bars: steps to each target. {listed}.",
        f"带误差线的点：达到各目标所需的步数。{listed}。",
    )


def own(shown: Shown, epoch: float, arm: str, split: str) -> pd.DataFrame:
    """Return an arm's evaluations after so many epochs by its own statistics: none, or decay 0.9's averages."""
    rows = shown.at("checkpoints", epoch)
    rows = rows[(rows["arm"] == arm) & (rows["split"] == split)]
    if arm == "none":
        return rows[rows["statistics"] == "none"].set_index("seed")
    moving = (rows["statistics"] == "moving") & (rows["zero_debias"] == "none") & (rows["decay"] == USUAL)
    return rows[moving].set_index("seed")


def table(shown: Shown) -> pd.DataFrame:
    """Return accuracy and loss of both networks by phase and images: mean [95 % interval]."""
    say = shown.write.say
    named = {"none": say("without batch norm", "无批归一化"), "batch": say("with batch norm", "有批归一化")}
    lines = []
    phases = zip(
        (say("before annealing", "退火前"), say("annealed", "退火后")), shown.phases.values(), strict=True
    )
    for phase, epoch in phases:
        for arm in ARMS:
            when = say(f"{epoch:g}, {phase}", f"{epoch:g}（{phase}）")
            line = {say("epoch", "epoch 数"): when, say("network", "网络"): named[arm]}
            for split, images in (("test", say("test", "测试")), ("train", say("training", "训练"))):
                rows = own(shown, epoch, arm, split)
                line[say(f"{images}: accuracy, %", f"{images}准确率（%）")] = in_percent(rows["accuracy"])
                loss = mean_interval(rows["loss"]).plain(3) if len(rows) else "–"
                line[say(f"{images}: loss", f"{images}损失")] = loss
            lines.append(line)
    return pd.DataFrame(lines)


def _sentences(shown: Shown) -> str:
    write, end = shown.write, shown.phases["annealed"]
    apart = {
        (split, value): paired(*(own(shown, end, arm, split)[value] for arm in ("batch", "none")))
        for split in ("test", "train")
        for value in ("accuracy", "loss")
    }
    test = write.points(apart["test", "accuracy"], mean_interval)
    train = write.points(apart["train", "accuracy"], mean_interval)
    loss = write.number(apart["test", "loss"])
    seeds = write.cite(str(len(apart["test", "accuracy"])))
    return write.say(
        f"After annealing ({seeds} seeds, each network at its best rate) the network with batch norm stands at "
        f"{test} points of test accuracy against the one without, at {train} on training images, and at {loss} "
        "of test loss (nats; negative is better).",
        f"退火之后（{seeds} 个随机种子，各取最佳学习率），有批归一化与无批归一化相比，测试准确率相差 {test} 个百分点，"
        f"训练准确率相差 {train} 个百分点，测试损失相差 {loss}（nat；负值表示损失更小）。",
    )
