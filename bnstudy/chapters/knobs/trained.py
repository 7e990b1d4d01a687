"""Where the second round's networks end by gamma and epsilon: accuracy and loss, with two kinds of statistics."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.blocks.gamma_and_epsilon import ARMS
from bnstudy.chapters.knobs import figures
from bnstudy.chapters.shown import Shown

BLOCK = "gamma_and_epsilon"

NAMES = {
    "base": ("no gamma, epsilon 0.001", "无 gamma，epsilon 0.001"),
    "gamma hidden": ("gamma in hidden layers", "隐藏层有 gamma"),
    "gamma everywhere": ("gamma in all layers", "各层都有 gamma"),
    **{
        f"epsilon {label}": (f"epsilon {value:g}", f"epsilon {value:g}")
        for label, value in (("1e-5", 1e-5), ("1e-1", 1e-1), ("1e-11", 1e-11))
    },
}
# What each arm differs from in one thing.
AGAINST = {
    "gamma everywhere": "gamma hidden",
    **{arm: "base" for arm in ARMS if arm not in ("base", "gamma everywhere")},
}
COMPARED = ("precise", "moving")


def described(shown: Shown) -> str:
    """Return what turning a knob does to the loss, a figure of where every seed ends, and a table."""
    rows = ends(shown)
    names = {arm: en for arm, (en, _) in NAMES.items()}
    return "".join(
        (
            shown.drawing(
                figures.accuracy_by_arm(rows, names),
                f"trained-knobs-{shown.language}",
                _in_words(shown, rows),
                shown.write.say(
                    "Test accuracy at the end of training, annealed to zero, by arm. Small marks: every seed; large "
                    "ones and bars: means and 95 % intervals (Student's t). The verdicts rest on differences with "
                    "precise statistics, which stand above.",
                    "学习率退火到零、训练结束时各设置的测试准确率。小点为各随机种子，大点和误差线为均值和 95% 置信区间（t 分布）。"
                    "判定依据的是用精确统计量时的差，见上文。",
                ),
            ),
            shown.seen(_sentences(shown, rows)),
            shown.table(table(shown, rows)),
        )
    )


def ends(shown: Shown) -> pd.DataFrame:
    """Return the evaluations of test images at the end of training, with precise statistics and averages."""
    last = shown.at("checkpoints", shown.phases["annealed"])
    rows: pd.DataFrame = last[(last["split"] == "test") & last["statistics"].isin(COMPARED)]
    return rows


def table(shown: Shown, rows: pd.DataFrame) -> pd.DataFrame:
    """Return test accuracy and loss by arm and kind of statistics: mean [95 % interval]."""
    say = shown.write.say
    heads = {"precise": say("precise statistics", "精确统计量"), "moving": say("moving averages", "滑动平均")}
    lines = []
    for arm, names in NAMES.items():
        line = {say("arm", "设置"): say(*names)}
        for statistics, head in heads.items():
            of = rows[(rows["arm"] == arm) & (rows["statistics"] == statistics)].set_index("seed")
            line[say(f"{head}: test accuracy, %", f"{head}：测试准确率（%）")] = in_percent(of["accuracy"])
            line[say(f"{head}: test loss", f"{head}：测试损失")] = mean_interval(of["loss"]).plain(3)
        lines.append(line)
    return pd.DataFrame(lines)


def changed(rows: pd.DataFrame, arm: str, statistics: str, value: str) -> pd.Series[float]:
    """Return an arm's accuracy or loss less that of the arm which it differs from in one thing, by seed."""
    chosen = rows[rows["statistics"] == statistics]
    return paired(*(chosen[chosen["arm"] == a].set_index("seed")[value] for a in (arm, AGAINST[arm])))


def _sentences(shown: Shown, rows: pd.DataFrame) -> str:
    write = shown.write
    seeds = write.cite(str(rows["seed"].nunique()))
    loss = {arm: write.number(changed(rows, arm, "precise", "loss")) for arm in AGAINST}
    moving = {arm: write.points(changed(rows, arm, "moving", "accuracy"), mean_interval) for arm in AGAINST}
    epsilons = [arm for arm in AGAINST if arm.startswith("epsilon")]
    listed, zh = (
        {
            which: comma.join(f"{values[arm]}{opening}{NAMES[arm][0]}{closing}" for arm in epsilons)
            for which, values in (("loss", loss), ("moving", moving))
        }
        for comma, opening, closing in ((", ", " (", ")"), ("、", "（", "）"))
    )
    return write.say(
        f"Beside the accuracy ({seeds} seeds): with precise statistics gamma in the hidden layers changes the test "
        f"loss by {loss['gamma hidden']} nats, gamma in the last layer besides by {loss['gamma everywhere']}; against "
        f"0.001, other values of epsilon change it by {listed['loss']}. With moving averages of decay 0.9, gamma in "
        f"the hidden layers changes the test accuracy by {moving['gamma hidden']} points, in the last layer besides by "
        f"{moving['gamma everywhere']}, and epsilon by {listed['moving']}.",
        f"准确率之外（{seeds} 个随机种子）：用精确统计量时，隐藏层的 gamma 使测试损失改变 {loss['gamma hidden']} nat，最后一层再加 gamma，"
        f"再改变 {loss['gamma everywhere']} nat；与 0.001 相比，epsilon 取其他值使它改变 {zh['loss']}。用衰减率 0.9 的滑动平均时，"
        f"隐藏层的 gamma 使测试准确率改变 {moving['gamma hidden']} 个百分点，最后一层再加 gamma，再改变 {moving['gamma everywhere']} 个百分点，"
        f"epsilon 取其他值使它改变 {zh['moving']}。",
    )


def _calibration(shown: Shown) -> str:
    loss = shown.write.number(changed(ends(shown), "gamma everywhere", "precise", "loss"))
    return shown.write.say(
        f"In the last layer, in front of the logits, it changes the test loss by {loss} nats.",
        f"最后一层（logit 之前）的 gamma 使测试损失改变 {loss} nat。",
    )


BESIDE = {"C8": _calibration}


def _in_words(shown: Shown, rows: pd.DataFrame) -> str:
    say = shown.write.say
    said = []
    for arm, names in NAMES.items():
        of = rows[rows["arm"] == arm].groupby("statistics")["accuracy"].mean()
        said.append(
            f"{say(*names)}{say(': ', '：')}"
            + say(", ", "，").join(f"{100 * of[statistics]:.1f} %" for statistics in COMPARED)
        )
    return say(
        f"Points by arm; test accuracy with precise statistics and with moving averages: {'; '.join(said)}.",
        f"散点图，每行一种设置；用精确统计量和用滑动平均的测试准确率：{'；'.join(said)}。",
    )
