"""The tables of the networks trained on few images, and their figures in words for who doesn't see them."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.statistics import Amount, mean_interval
from bnstudy.analysis.tables import in_percent
from bnstudy.chapters.regularisation.few_images import PLAIN, at_epoch, of
from bnstudy.chapters.shown import Shown

NAMES = {
    "none plain": ("without batch norm", "无批归一化"),
    "none L2": ("L2", "L2"),
    "none dropout": ("dropout", "dropout"),
    "batch plain": ("batch norm", "批归一化"),
    "batch L2": ("batch norm, L2", "批归一化 + L2"),
    "batch dropout": ("batch norm, then dropout", "批归一化 → dropout"),
}


def accuracies(shown: Shown, best: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """Return each arm's accuracies: stopped early, and at the end of training."""
    say = shown.write.say
    return pd.DataFrame(
        {
            say("arm", "设置"): say(*names),
            say("stopped early: test accuracy, %", "早停：测试准确率（%）"): in_percent(of(best, arm)),
            say("after epochs (median)", "所在 epoch（中位数）"): f"{of(best, arm, 'epoch').median():.0f}",
            say("at the end: test accuracy, %", "训练结束：测试准确率（%）"): in_percent(of(last, arm)),
            say("at the end: training accuracy, % (seeds)", "训练结束：训练准确率（%，各种子的范围）"): _span(
                100 * of(last, arm, "train"), 1
            ),
            say("seeds", "种子数"): str(len(of(last, arm))),
        }
        for arm, names in NAMES.items()
    )


def losses(shown: Shown) -> pd.DataFrame:
    """Return each arm's losses at the end of training, and the temperature that is best."""
    say = shown.write.say
    looked, scaled = shown.frames["checkpoints"], shown.frames["calibration"]
    train = looked[(looked["split"] == "train") & (looked["step"] == looked["step"].max())]
    test = scaled[scaled["split"] == "test"]
    return pd.DataFrame(
        {
            say("arm", "设置"): say(*names),
            say("test loss", "测试损失"): mean_interval(of(test, arm, "loss")).plain(3),
            say("test loss, logits scaled", "测试损失（logit 缩放后）"): mean_interval(
                of(test, arm, "scaled_loss")
            ).plain(3),
            say("temperature", "温度"): mean_interval(of(test, arm, "temperature")).plain(2),
            say("training loss (seeds)", "训练损失（各种子的范围）"): _span(of(train, arm, "loss"), 3),
        }
        for arm, names in NAMES.items()
    )


def _span(values: pd.Series[float], digits: int) -> Amount:
    """Return a mean with the least and the largest seed: near a bound Student's interval would cross it."""
    found = mean_interval(values)
    low, high = (f"{value:.{digits}f}" for value in (values.min(), values.max()))
    return Amount.of(f"{found.mean:.{digits}f} ({low}–{high})", found, "number")


def arms_in_words(shown: Shown, best: pd.DataFrame, last: pd.DataFrame) -> str:
    """Return each arm's mean test accuracy, stopped early and at the end."""
    say = shown.write.say
    said = [
        f"{say(*names)}{say(': ', '：')}"
        + say(", ", "，").join(f"{100 * of(rows, arm).mean():.1f} %" for rows in (best, last))
        for arm, names in NAMES.items()
    ]
    return say(
        f"Points by arm; test accuracy stopped early and at the end: {'; '.join(said)}.",
        f"散点图，每行一种设置；早停时和训练结束时的测试准确率：{'；'.join(said)}。",
    )


def courses_in_words(shown: Shown, rungs: pd.DataFrame) -> str:
    """Return the plain networks' mean test accuracy where each first has a training accuracy."""
    say = shown.write.say
    said = []
    for norm, names in (("none", ("without", "无批归一化")), ("batch", ("with", "有批归一化"))):
        means = rungs[rungs["arm"] == PLAIN[norm]].groupby("level")["accuracy"].mean()
        listed = say(", ", "，").join(f"{100 * value:.1f} % ({level:.0%})" for level, value in means.items())
        said.append(f"{say(*names)}{say(': ', '：')}{listed}")
    listed = say("; ", "；").join(said)
    return say(
        f"Curves of test accuracy against training accuracy; test (at training): {listed}.",
        f"测试准确率随训练准确率变化的曲线；测试准确率（括号内为训练准确率）：{listed}。",
    )


def along_in_words(shown: Shown, wide: pd.DataFrame) -> str:
    """Return each arm's mean test accuracy before annealing and at the end."""
    say = shown.write.say
    rows = [at_epoch(wide, epoch) for epoch in (shown.phases["constant"], shown.phases["annealed"])]
    said = [
        f"{say(*names)}{say(': ', '：')}"
        + say(", ", "，").join(f"{100 * of(now, arm).mean():.1f} %" for now in rows)
        for arm, names in NAMES.items()
    ]
    return say(
        f"Curves of test accuracy along training; before annealing and at the end: {'; '.join(said)}.",
        f"测试准确率在训练过程中的曲线；退火之前和训练结束时：{'；'.join(said)}。",
    )
