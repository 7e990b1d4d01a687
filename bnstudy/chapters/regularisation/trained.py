"""Training on few images: test accuracy at equal training accuracy, and each arm's loss before and after scaling."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.blocks.small_data import NORMS
from bnstudy.chapters.regularisation import figures
from bnstudy.chapters.shown import Shown

BLOCK = "small_data"

# Training accuracies at which the two plain networks are held against each other; the last one is judged.
LEVELS = (0.7, 0.8, 0.9, 0.95, 0.999)
EXTRAS = ("plain", "L2", "dropout")
NAMES = {
    "none plain": ("without batch norm", "无批归一化"),
    "none L2": ("L2", "L2"),
    "none dropout": ("dropout", "dropout"),
    "batch plain": ("batch norm", "批归一化"),
    "batch L2": ("batch norm, L2", "批归一化，L2"),
    "batch dropout": ("batch norm, then dropout", "先批归一化，后 dropout"),
}
PLAIN = {norm: f"{norm} plain" for norm in NORMS}


def described(shown: Shown) -> str:
    """Return the plain networks at equal training accuracy, what the loss says, and tables of both."""
    rungs = at_levels(shown)
    say = shown.write.say
    return "".join(
        (
            shown.drawing(
                figures.courses(shown.frames["checkpoints"], PLAIN),
                f"trained-courses-{shown.language}",
                _in_words(shown, rungs),
                say(
                    "Test accuracy against training accuracy along training, of the networks without L2 and dropout: "
                    "means over seeds, a mark an evaluation, with 95 % intervals (Student's t).",
                    "不加 L2 和 dropout 的网络在训练过程中的测试准确率与训练准确率，每次评估一个点：各随机种子的平均和 95% 置信区间（t 分布）。",
                ),
            ),
            shown.seen(_at_equal_training(shown, rungs)),
            f"<p>{_losses(shown)}</p>",
            shown.table(table(shown)),
        )
    )


def at_levels(shown: Shown) -> pd.DataFrame:
    """Return the plain networks' test accuracy where each first has a training accuracy: level, arm, seed.

    A network that never gets to a level has no row there.
    """
    looks = shown.frames["checkpoints"]
    looks = looks[looks["arm"].isin(PLAIN.values())]
    wide = looks.pivot_table(index=["arm", "seed", "step"], columns="split", values="accuracy").reset_index()
    lines = []
    for (arm, seed), course in wide.dropna(subset=["train", "test"]).groupby(["arm", "seed"]):
        for level in LEVELS:
            there = course[course["train"] >= level]
            if len(there):
                first = there.sort_values("step").iloc[0]
                lines.append({"level": level, "arm": arm, "seed": seed, "accuracy": first["test"]})
    return pd.DataFrame(lines, columns=["level", "arm", "seed", "accuracy"])


def ahead(rungs: pd.DataFrame, level: float) -> pd.Series[float]:
    """Return test accuracy with less that without batch norm at a level, by seed, where both got there."""
    none, batch = (
        rungs[(rungs["level"] == level) & (rungs["arm"] == PLAIN[norm])].set_index("seed")["accuracy"]
        for norm in NORMS
    )
    both = none.index.intersection(batch.index)
    return paired(batch[both], none[both])


def _at_equal_training(shown: Shown, rungs: pd.DataFrame) -> str:
    write = shown.write
    said: dict[str, list[str]] = {"en": [], "zh": []}
    for level in LEVELS[:-1]:
        values = ahead(rungs, level)
        if len(values) < 2:
            said["en"].append(f"nothing at {level:.0%} (reached by fewer than two pairs)")
            said["zh"].append(f"训练准确率 {level:.0%} 处无从比较（达到的不足两对）")
            continue
        points = write.points(values, mean_interval)
        pairs = write.cite(str(len(values)))
        said["en"].append(f"{points} points at {level:.0%} ({pairs} pairs)")
        said["zh"].append(f"训练准确率 {level:.0%} 处 {points} 个百分点（{pairs} 对）")
    return write.say(
        "Where both networks classify the training images equally well, without L2 and dropout, test accuracy with "
        f"batch norm is ahead by {', '.join(said['en'])}.",
        f"不加 L2 和 dropout，两个网络的训练准确率相同时，测试准确率之差（有批归一化减无批归一化）：{'；'.join(said['zh'])}。",
    )


def _losses(shown: Shown) -> str:
    write = shown.write
    scaled = shown.frames["calibration"]
    scaled = scaled[scaled["split"] == "test"]
    apart = {
        value: write.number(paired(*(_column(scaled, PLAIN[norm], value) for norm in ("batch", "none"))))
        for value in ("loss", "scaled_loss")
    }
    seeds = write.cite(str(scaled["seed"].nunique()))
    return write.say(
        f"At the end ({seeds} seeds) the test loss with batch norm less that without is {apart['loss']} nats, and "
        f"{apart['scaled_loss']} once each network's logits are divided by the temperature that is best on held-out "
        "images (negative is better). Loss has no vote: a network can be right more often and surer of its errors.",
        f"训练结束时（{seeds} 个随机种子），测试损失之差（有批归一化减无批归一化）为 {apart['loss']} nat；各网络的 logit 先除以在留出图像上最佳的"
        f"温度，则为 {apart['scaled_loss']} nat（负值表示损失更小）。损失不参与判定：一个网络可能答对得更多，答错时却也更自信。",
    )


def table(shown: Shown) -> pd.DataFrame:
    """Return each arm at the end of training: accuracies, losses, and the temperature that is best."""
    say = shown.write.say
    looks, scaled = (shown.frames[name].set_index("seed") for name in ("checkpoints", "calibration"))
    last = looks[looks["step"] == looks["step"].max()]
    lines = []
    for arm, names in NAMES.items():
        of = {split: last[(last["arm"] == arm) & (last["split"] == split)] for split in ("test", "train")}
        own = scaled[(scaled["arm"] == arm) & (scaled["split"] == "test")]
        lines.append(
            {
                say("arm", "设置"): say(*names),
                say("test accuracy, %", "测试准确率（%）"): in_percent(of["test"]["accuracy"]),
                say("training accuracy, %", "训练准确率（%）"): in_percent(of["train"]["accuracy"]),
                say("test loss", "测试损失"): mean_interval(of["test"]["loss"]).plain(3),
                say("test loss, logits scaled", "测试损失（logit 缩放后）"): mean_interval(
                    own["scaled_loss"]
                ).plain(3),
                say("temperature", "温度"): mean_interval(own["temperature"]).plain(2),
                say("training loss", "训练损失"): mean_interval(of["train"]["loss"]).plain(3),
                say("seeds", "种子数"): str(of["test"].index.nunique()),
            }
        )
    return pd.DataFrame(lines)


def _column(rows: pd.DataFrame, arm: str, value: str) -> pd.Series[float]:
    return rows[rows["arm"] == arm].set_index("seed")[value]


def _in_words(shown: Shown, rungs: pd.DataFrame) -> str:
    say = shown.write.say
    said = []
    for norm, names in (("none", ("without", "无批归一化")), ("batch", ("with", "有批归一化"))):
        means = rungs[rungs["arm"] == PLAIN[norm]].groupby("level")["accuracy"].mean()
        listed = say(", ", "，").join(f"{100 * value:.1f} % ({level:.1%})" for level, value in means.items())
        said.append(f"{say(*names)}{say(': ', '：')}{listed}")
    listed = say("; ", "；").join(said)
    return say(
        f"Curves of test accuracy against training accuracy; test (at training): {listed}.",
        f"测试准确率随训练准确率变化的曲线；测试准确率（括号内为训练准确率）：{listed}。",
    )
