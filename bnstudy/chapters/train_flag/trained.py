"""What the flag does to the second round's networks, before and after annealing, by size of test batch."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.blocks.core import END
from bnstudy.chapters.shown import Shown
from bnstudy.chapters.train_flag import figures
from bnstudy.chapters.train_flag.rules import ORDERS
from bnstudy.records.spec import RunSpec

BLOCK = "core"

USUAL = 0.9
ORDERS_ZH = {"shuffled": "打乱", "sorted by class": "按类别排序"}


def described(shown: Shown) -> str:
    """Return who wins at which size of test batch, a figure and a table."""
    return "".join(
        (
            shown.drawing(
                figures.accuracy_by_size(flags(shown, END)),
                f"trained-flag-{shown.language}",
                _in_words(shown),
                shown.write.say(
                    "The second round's networks after annealing: test accuracy against the number of images in a "
                    "test batch, by flag, in shuffled test images (top) and sorted by class (bottom). Small marks: "
                    "every seed; bands: 95 % intervals over seeds (Student's t). The verdict rests on shuffled "
                    "batches of four; all else here is described and judged by nothing.",
                    "第二轮的网络，退火之后：测试准确率随测试批大小的变化，上图为打乱的测试图像，下图为按类别排序的。小点为各随机种子，"
                    "色带为随机种子之间的 95% 置信区间（t 分布）。判定只依据打乱的、测试批大小为 4 的情形，其余仅作描述。",
                ),
            ),
            shown.seen(_sentences(shown)),
            shown.table(table(shown)),
        )
    )


def _largest_batches(shown: Shown) -> str:
    rows = flags(shown, END)
    size = int(rows["test_batch_size"].max())
    mixed, sorted_ = (shown.lost(gap(rows, "batch", order, size)) for order in ORDERS)
    return shown.write.say(
        f"In batches of {size} <code>True</code> costs {mixed} points where they are shuffled, and {sorted_} where they "
        "are sorted by class. This network normalises its logits, too: one with a plain last layer may lose less.",
        f"测试批大小为 {size} 时，设为 <code>True</code> 使测试准确率下降：打乱时 {mixed} 个百分点，按类别排序时 {sorted_} 个百分点。"
        "这个网络连 logit 也做归一化；最后一层不做归一化的网络，准确率可能下降得少一些。",
    )


BESIDE = {"C10": _largest_batches}


def _of_true(shown: Shown) -> str:
    rows = flags(shown, END)
    sizes = rows["test_batch_size"].astype(int)
    most, few = int(sizes.max()), int(sizes[sizes > 1].min())
    mixed, sorted_ = (shown.short(gap(rows, "batch", order, most)) for order in ORDERS)
    small = shown.short(gap(rows, "batch", ORDERS[0], few))
    return shown.write.say(
        f"<code>True</code> costs {small} points of test accuracy in test batches of {few}, {mixed} in batches of "
        f"{most}, and {sorted_} in batches of {most} sorted by class.",
        f"测试时误设为 <code>True</code>，测试准确率会下降：测试批大小为 {few} 时降 {small} 个百分点，为 {most} 时降 {mixed} 个百分点，"
        f"为 {most} 且按类别排序时降 {sorted_} 个百分点。",
    )


IN_SHORT = {"C10": _of_true}


def _ordinary_batches(shown: Shown) -> str:
    """Return what is_training=True costs in test batches of the training size."""
    costs = {}
    for phase, epoch in shown.phases.items():
        costs[phase] = shown.lost(_own_batches(shown, epoch))
    size = max(run.spec.batch_size for run in shown.frames.study.runs() if isinstance(run.spec, RunSpec))
    return shown.write.say(
        f"In test batches of {size} <code>is_training=True</code> costs {costs['annealed']} points after "
        f"annealing and {costs['constant']} before it; less than nothing is a gain, since averages lag while the rate is "
        "high. Other test batches were not measured.",
        f"在批大小为 {size} 的测试批上，<code>is_training=True</code> 使测试准确率下降的幅度：退火后 {costs['annealed']} "
        f"个百分点，退火前 {costs['constant']} 个百分点；负值表示上升：学习率较大时，滑动平均跟不上权重的变化。其他测试批没有测量。",
    )


CARRIED = {"C10": _ordinary_batches}


def flags(shown: Shown, epoch: float) -> pd.DataFrame:
    """Return test accuracy by order, size of test batch and flag after so many epochs.

    With the flag at False an image's answer doesn't depend on its batch, so that one evaluation stands for
    every order and size.
    """
    batches = shown.at("test_batches", epoch)
    rows = shown.at("checkpoints", epoch)
    false = rows[
        (rows["split"] == "test")
        & (rows["statistics"] == "moving")
        & (rows["zero_debias"] == "none")
        & (rows["decay"] == USUAL)
    ]
    places = batches[["order", "test_batch_size"]].drop_duplicates()
    alike = false[["run", "seed", "step", "statistics", "loss", "accuracy"]].merge(places, how="cross")
    return pd.concat([batches, alike], ignore_index=True)


def gap(rows: pd.DataFrame, statistics: str, order: str, size: int) -> pd.Series[float]:
    """Return each seed's accuracy with False minus that with another flag."""

    def of(name: str) -> pd.Series[float]:
        kept = rows[
            (rows["order"] == order) & (rows["test_batch_size"] == size) & (rows["statistics"] == name)
        ]
        return kept.set_index("seed")["accuracy"]

    return paired(of("moving"), of(statistics))


def table(shown: Shown) -> pd.DataFrame:
    """Return what is_training=True and a pass with it cost, by phase, order and size: mean [95 % interval]."""
    say = shown.write.say
    costs = {
        "batch": say("True costs", "设为 True 时准确率下降"),
        "leaked": say("a pass with True costs", "先以 True 跑一遍、再设回 False，准确率下降"),
    }
    by_phase = {phase: flags(shown, epoch) for phase, epoch in shown.phases.items()}
    lines = []
    for order in ORDERS:
        for size in sorted(by_phase["annealed"]["test_batch_size"].unique()):
            line = {
                say("order", "顺序"): say(order, ORDERS_ZH[order]),
                say("images a test batch", "测试批大小"): str(size),
            }
            for phase, rows in by_phase.items():
                for statistics, cost in costs.items():
                    name = shown.phase_names[phase]
                    head = say(f"{name}: {cost}, points", f"{name}：{cost}（百分点）")
                    line[head] = in_percent(gap(rows, statistics, order, size))
            lines.append(line)
    return pd.DataFrame(lines)


def _sentences(shown: Shown) -> str:
    rows = flags(shown, END)
    said: dict[str, list[str]] = {"en": [], "zh": []}
    for order in ORDERS:
        costs = {size: gap(rows, "batch", order, size) for size in sorted(rows["test_batch_size"].unique())}
        said["en"].append(
            f"{order}, True costs "
            + ", ".join(f"{shown.lost(cost)} (batches of {size})" for size, cost in costs.items())
        )
        said["zh"].append(
            f"{ORDERS_ZH[order]}时为 "
            + "、".join(f"{shown.lost(cost)}（测试批大小 {size}）" for size, cost in costs.items())
        )
    seeds = shown.write.cite(str(rows["seed"].nunique()))
    return shown.write.say(
        f"In the second round's networks, annealed ({seeds} seeds), in points of test accuracy against False: "
        f"{'; '.join(said['en'])}. A negative cost is a gain. {_grouping(shown)}",
        f"第二轮的网络，退火之后（{seeds} 个随机种子），True 与 False 相比，测试准确率下降的百分点：{'；'.join(said['zh'])}。负值表示上升。"
        f"{_grouping(shown)}",
    )


def _grouping(shown: Shown) -> str:
    """Return what C6's test batches cost, which are the same for all seeds."""
    cost = shown.lost(_own_batches(shown, END))
    return shown.write.say(
        f"Each seed meets the shuffled images in an order of its own. C6 judges test batches of the training size, "
        f"too, but in the images' stored order, one grouping for all seeds, where True costs {cost}: which images "
        "share a batch matters that much.",
        f"打乱时，每个随机种子的图像顺序各不相同。C6 的判定也用到与训练批一样大的测试批，但图像按存储顺序分批，各随机种子都相同；"
        f"这时 True 使测试准确率下降的百分点为 {cost}：可见，哪些图像分在同一批，也会影响结果。",
    )


def _own_batches(shown: Shown, epoch: float) -> pd.Series[float]:
    """Return each seed's accuracy with False minus that with each test batch's own, in the stored order."""
    rows = shown.at("checkpoints", epoch)
    rows = rows[rows["split"] == "test"].set_index("seed")
    usual = (rows["statistics"] == "moving") & (rows["decay"] == USUAL) & (rows["zero_debias"] == "none")
    return paired(rows[usual]["accuracy"], rows[rows["statistics"] == "batch"]["accuracy"])


def _in_words(shown: Shown) -> str:
    say = shown.write.say
    rows = flags(shown, END)
    said = []
    for order in ORDERS:
        for statistics, (name, *_) in figures.FLAGS.items():
            kept = rows[(rows["order"] == order) & (rows["statistics"] == statistics)]
            means = kept.groupby("test_batch_size")["accuracy"].apply(lambda v: mean_interval(v).mean)
            listed = [
                say(f"{size}: {100 * mean:.1f} %", f"测试批大小 {size} 时为 {100 * mean:.1f} %")
                for size, mean in means.items()
            ]
            said.append(
                say(
                    f"{order}, {name}, by size {', '.join(listed)}",
                    f"{ORDERS_ZH[order]}，{chinese(name) or name}：{'，'.join(listed)}",
                )
            )
    return say(
        f"Line plots of test accuracy against images in a test batch. {'; '.join(said)}.",
        f"测试准确率随测试批大小变化的折线图。{'；'.join(said)}。",
    )
