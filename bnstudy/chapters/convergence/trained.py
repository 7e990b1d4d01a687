"""Where the second round's two networks end: accuracy and loss on test and training images, annealed."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.blocks.core import ANNEALING, END
from bnstudy.chapters.trained import Shown

BLOCK = "core"

USUAL = 0.9
ARMS = ("none", "batch")


def described(shown: Shown) -> str:
    """Return how far apart the two networks end, and a table of both before and after annealing."""
    return f"<p>{_sentences(shown)}</p>{shown.table(table(shown))}"


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
    for phase, epoch in ((say("before annealing", "退火前"), ANNEALING), (say("annealed", "退火后"), END)):
        for arm in ARMS:
            line = {say("epoch", "轮数"): f"{epoch:g}, {phase}", say("network", "网络"): named[arm]}
            for split, images in (("test", say("test", "测试")), ("train", say("training", "训练"))):
                rows = own(shown, epoch, arm, split)
                line[f"{images}: {say('accuracy, %', '准确率，%')}"] = in_percent(rows["accuracy"])
                loss = mean_interval(rows["loss"]) if len(rows) else None
                line[f"{images}: {say('loss', '损失')}"] = (
                    f"{loss.mean:.3f} [{loss.low:.3f}, {loss.high:.3f}]" if loss else "–"
                )
            lines.append(line)
    return pd.DataFrame(lines)


def _sentences(shown: Shown) -> str:
    write = shown.write
    apart = {
        (split, value): paired(own(shown, END, "batch", split)[value], own(shown, END, "none", split)[value])
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
        f"退火之后（{seeds} 个种子，各取最佳学习率），有批归一化的网络与没有的相比，测试准确率相差 {test} 个百分点，"
        f"训练图像上相差 {train} 个，测试损失相差 {loss}（nat，负值更好）。",
    )
