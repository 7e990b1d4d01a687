"""What is said of C10 in one sentence, and what to do about it."""

from __future__ import annotations

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.statistics import bootstrap_interval
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.train_flag.rules import against_false, sizes

FOUND = {
    "is_training False minus True in test batches of 4": Said(
        "In shuffled test batches of 4 <code>is_training=False</code> leads <code>True</code> by {}.",
        "在打乱的、批大小为 4 的测试批上，测试准确率之差（<code>is_training=False</code> 减 <code>True</code>）为 {}。",
    )
}
ADVICE = {
    "C10": {
        "": Said(
            "Evaluate with <code>is_training=False</code> (<code>model.eval()</code>).",
            "评估时设 <code>is_training=False</code>（<code>model.eval()</code>）。",
        )
    }
}


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return what the wrong flag costs in the smallest test batches, in sorted ones, and where it gains."""
    every = sizes(tables)
    one, sorted_ = every[0], min(every, key=lambda size: abs(size - 100))
    gaps = {size: bootstrap_interval(against_false(tables, "batch", "shuffled", size)) for size in every}
    better = [size for size, gap in gaps.items() if gap.high < 0]
    gains = ("", "")
    if better:
        first = write.cite(min(better))
        gains = (
            f" In shuffled batches of {first} and more it gains.",
            f"打乱时，测试批大小达到 {first} 后，准确率反而上升。",
        )
    lost = write.lost(against_false(tables, "batch", "shuffled", one))
    in_order = write.lost(against_false(tables, "batch", "sorted by class", sorted_))
    return {
        "C10": write.say(
            f"<code>is_training=True</code> at test time costs {lost} points in test batches of {one}, and {in_order} "
            f"in batches of {sorted_} sorted by class.{gains[0]}",
            f"测试时设 <code>is_training=True</code>，测试准确率的降幅：测试批大小为 {one} 时 {lost} 个百分点，按类别排序、"
            f"测试批大小为 {sorted_} 时 {in_order} 个百分点。{gains[1]}",
        )
    }
