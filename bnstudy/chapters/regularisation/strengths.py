"""How strong L2 and dropout are: the grid that they were chosen from, on held-out images."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.statistics import Amount, mean_interval
from bnstudy.analysis.tables import paired
from bnstudy.blocks.chosen import DROPOUT, L2
from bnstudy.blocks.small_data import NORMS
from bnstudy.chapters.regularisation.study import RegularisationStudy
from bnstudy.chapters.shown import Shown

BLOCK = "small_data_strengths"

# What a row without either is called in the records.
WITHOUT = "none"


def described(shown: Shown) -> str:
    """Return how strengths were chosen, what others would have done, and a table; nothing until recorded."""
    there = shown.beside(BLOCK)
    if there is None:
        return ""
    rows = ends(there)
    return f"<p>{_chosen(there, rows)}</p>" + there.table(table(there, rows))


def ends(there: Shown) -> pd.DataFrame:
    """Return the accuracy on held-out images at the end of training: arm (a norm), strength, seed."""
    looked = there.frames["checkpoints"]
    found: pd.DataFrame = looked[(looked["split"] == "validation") & (looked["step"] == looked["step"].max())]
    return found


def of(rows: pd.DataFrame, norm: str, strength: str) -> pd.Series[float]:
    """Return a network's held-out accuracy with a strength, by seed."""
    found: pd.Series[float] = rows[(rows["arm"] == norm) & (rows["strength"] == strength)].set_index("seed")[
        "accuracy"
    ]
    return found


def chosen(norm: str) -> dict[str, str]:
    """Return what a network's chosen strengths are called in the records, by ``"L2"`` and ``"dropout"``."""
    return {"L2": f"L2 {L2[norm]:g}", "dropout": f"dropout {DROPOUT[norm]:g}"}


def table(there: Shown, rows: pd.DataFrame) -> pd.DataFrame:
    """Return held-out accuracy in percent by strength and network; a star: the best of its kind."""
    say = there.write.say
    heads = {
        "none": say("without batch norm: held-out accuracy, %", "无批归一化：验证准确率（%）"),
        "batch": say("with batch norm: held-out accuracy, %", "有批归一化：验证准确率（%）"),
    }
    lines = []
    for strength in rows["strength"].drop_duplicates():
        name = say("neither", "都不加") if strength == WITHOUT else str(strength)
        line = {say("strength", "强度"): name}
        for norm, head in heads.items():
            found = mean_interval(of(rows, norm, str(strength)))
            star = " *" if strength in chosen(norm).values() else ""
            line[head] = Amount.of(f"{100 * found.mean:.1f}{star}", found, "percent")
        lines.append(line)
    return pd.DataFrame(lines)


def _chosen(there: Shown, rows: pd.DataFrame) -> str:
    """Return what was chosen among what, and what the first round's penalty and the next best would do."""
    write = there.write
    seeds = write.cite(str(rows["seed"].nunique()))
    listed, second = {}, {}
    for kind in ("L2", "dropout"):
        named = [str(s) for s in rows["strength"].drop_duplicates() if str(s).startswith(f"{kind} ")]
        listed[kind] = ", ".join(name.removeprefix(f"{kind} ") for name in named)
        means = {name: of(rows, "batch", name).mean() for name in named}
        best, next_ = sorted(means, key=lambda name: means[name], reverse=True)[:2]
        second[kind] = (
            next_.removeprefix(f"{kind} "),
            _points(there, paired(of(rows, "batch", next_), of(rows, "batch", best))),
        )
    first = f"L2 {RegularisationStudy().weight_decay:g}"
    added = {norm: _points(there, paired(of(rows, norm, first), of(rows, norm, WITHOUT))) for norm in NORMS}
    picked = {norm: chosen(norm) for norm in NORMS}
    same = picked["none"] == picked["batch"]
    both = f"{picked['batch']['L2']} and {picked['batch']['dropout']}"
    each, each_zh = ("for both networks", "两个网络相同") if same else ("with batch norm", "有批归一化时")
    l2, dropout = second["L2"], second["dropout"]
    worst = {norm: _worst(there, rows, norm) for norm in NORMS}
    return write.say(
        f"The strengths were chosen on held-out images, with {seeds} seeds that decide nothing else, from coarse "
        f"grids: L2 of 0, {listed['L2']}; dropout of 0, {listed['dropout']}. The best at the end of training were {both} "
        f"{each} (starred). With batch norm the next best, L2 {l2[0]} and dropout {dropout[0]}, are at {l2[1]} and "
        f"{dropout[1]} points against them, so that a finer grid may find more. Against neither, the worst strength "
        f"tried changes held-out accuracy by {worst['batch'][1]} points with batch norm ({worst['batch'][0]}), and by "
        f"{worst['none'][1]} without ({worst['none'][0]}); the first round's {first} by {added['batch']} with batch norm, "
        f"by {added['none']} without.",
        f"强度由留出的图像选定，所用的 {seeds} 个随机种子不参与任何判定，网格较粗：L2 取 0、{listed['L2'].replace(', ', '、')}；dropout 取 "
        f"0、{listed['dropout'].replace(', ', '、')}。训练结束时最好的是 {picked['batch']['L2']} 和 {picked['batch']['dropout']}（{each_zh}；表中带 "
        f"* 号）。有批归一化时，次好的 L2 {l2[0]} 和 dropout {dropout[0]} 与最好的相差 {l2[1]} 和 {dropout[1]} 个百分点，网格再细一些，也许还能"
        f"提高。与都不加相比，试过的最差强度使验证准确率改变：有批归一化时 {worst['batch'][1]} 个百分点（{worst['batch'][0]}），无批归一化时 "
        f"{worst['none'][1]} 个百分点（{worst['none'][0]}）；第一轮所用的 {first}：有批归一化时 {added['batch']} 个百分点，无批归一化时 "
        f"{added['none']} 个百分点。",
    )


def _worst(there: Shown, rows: pd.DataFrame, norm: str) -> tuple[str, str]:
    """Return which strength a network does worst with, and its held-out accuracy less that with neither."""
    means = {
        str(s): of(rows, norm, str(s)).mean() for s in rows["strength"].drop_duplicates() if s != WITHOUT
    }
    worst = min(means, key=lambda name: means[name])
    return worst, _points(there, paired(of(rows, norm, worst), of(rows, norm, WITHOUT)))


def _points(there: Shown, values: pd.Series[float]) -> str:
    """Return the mean of differences in points by itself: of two seeds an interval says nothing."""
    found = mean_interval(values)
    return there.write.cite(Amount.of(f"{round(100 * found.mean, 1) + 0.0:+.1f}", found, "points"))
