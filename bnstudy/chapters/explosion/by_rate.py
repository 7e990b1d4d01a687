"""Up to which rate training survives, all layers at once and one a step: planned after C1 was judged."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import paired, rows
from bnstudy.chapters.explosion.rules import survived_up_to
from bnstudy.chapters.shown import Shown

BLOCK = "turn_rates"

# Each beginning of the weights, its arm with all layers at once and with one a step.
PAIRS = {
    ("the tutorial's weights", "教程的初始权重"): ("at once", "in turn"),
    ("He's initialisation", "He 初始化"): ("He, at once", "He, in turn"),
}


def described(shown: Shown) -> str:
    """Return what diverges at which rate, in a sentence and a table; nothing until all of it is recorded."""
    there = shown.beside(BLOCK)
    return said(there) if there else ""


def said(shown: Shown) -> str:
    """Return the sentence and the table."""
    ended = endings(shown)
    return f"<p>{_sentence(shown, ended)}</p>{shown.table(table(shown, ended))}"


def endings(shown: Shown) -> pd.DataFrame:
    """Return each run with its rate as a number, and whether it diverged."""
    made = rows(shown.frames, "runs").reset_index(drop=True)
    return made.assign(learning_rate=made["learning_rate"].astype(float), optimizer="sgd")


def table(shown: Shown, ended: pd.DataFrame) -> pd.DataFrame:
    """Return how many seeds diverged, a row an arm and a column a rate."""
    say = shown.write.say
    seeds = ended["seed"].nunique()
    lines = []
    for (en, zh), (once, turn) in PAIRS.items():
        for arm, what in (
            (once, say("all layers at once", "各层同时更新")),
            (turn, say("one layer a step", "只更新一层，轮流进行")),
        ):
            runs = ended[ended["arm"] == arm].groupby("learning_rate")["diverged"].sum()
            line = {
                say("weights at the start", "初始权重"): say(en, zh),
                say("a step updates", "每步更新"): what,
            }
            lines.append(line | {f"{rate:g}": f"{int(gone)} / {seeds}" for rate, gone in runs.items()})
    return pd.DataFrame(lines)


def ratios(ended: pd.DataFrame, once: str, turn: str) -> pd.Series[float]:
    """Return log2 of the largest rate survived in turn over that at once, by seed.

    A seed whose smallest rate diverges has none, and counts as half the smallest.
    """
    least = ended["learning_rate"].min() / 2
    largest = survived_up_to(ended).replace(0.0, least).droplevel("optimizer")
    return paired(np.log2(largest[turn]), np.log2(largest[once]))


def _sentence(shown: Shown, ended: pd.DataFrame) -> str:
    write = shown.write
    times = [shown.times(mean_interval(ratios(ended, *arms))) for arms in PAIRS.values()]
    seeds = write.cite(str(ended["seed"].nunique()))
    low, high = (f"{rate:g}" for rate in (ended["learning_rate"].min(), ended["learning_rate"].max()))
    return write.say(
        f"One rate is one rate. Over rates from {low} to {high} ({seeds} exploratory seeds, planned after the verdict, "
        "each layer updated as often in both), the largest rate up to which no training diverges is, one layer a step "
        f"over all at once, {times[0]} × with the tutorial's weights and {times[1]} × with He's initialisation. Above 1 "
        "it would be what updating the layers together, and so their shift, adds to the explosions. Seeds that diverged:",
        f"以上只是一个学习率的结果。学习率从 {low} 到 {high}（{seeds} 个探索性的随机种子，判定之后才计划；两种做法中各层的更新次数相同）："
        f"不发散的最大学习率之比（每步只更新一层 ÷ 各层同时更新）：教程的初始权重为 {times[0]} 倍，He 初始化为 {times[1]} 倍。比值若大于 1，"
        "才说明各层同时更新会加剧爆炸。发散的随机种子数：",
    )
