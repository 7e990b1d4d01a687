"""What is said of C4 and C13 in one sentence each, and what to do about it."""

from __future__ import annotations

import math

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables, paired
from bnstudy.chapters.convergence.rules import (
    C4,
    C13,
    TARGET,
    best_rate,
    first_step_at,
    seconds_per_step,
)

FOUND = {
    "steps to a result, none over batch norm": Said(
        "Without batch norm the same test accuracy takes {} the steps, each network at its best learning rate.",
        "各取最佳学习率，达到同样的测试准确率所需的步数，无批归一化与有批归一化之比：{}。",
    ),
    "test accuracy at the end, batch norm minus none": Said(
        "Batch norm ends {} of test accuracy higher.", "最终测试准确率之差（有批归一化减无批归一化）为 {}。"
    ),
    "seconds a step, none over batch norm": Said(
        "A step without it takes {} the time.", "每一步所需的时间，无批归一化是有批归一化的 {}。"
    ),
    "seconds to a result, none over batch norm": Said(
        "The same test accuracy takes {} the seconds without it.",
        "达到同样的测试准确率所需的时间，无批归一化与有批归一化之比：{}。",
    ),
}
ADVICE = {
    "C4": {
        "refuted": Said("Don't count on fewer steps.", "不要指望步数减少。"),
        "": Said(
            "Use it where steps count, and tune the learning rate of both before you compare.",
            "若要减少步数，可用批归一化；比较之前，先分别调好两者的学习率。",
        ),
    },
    "C13": {
        "refuted": Said("Don't count on accuracy or speed.", "不要指望准确率或速度提高。"),
        "": Said(
            "Expect more accuracy for the same epochs, and dearer steps.",
            "epoch 数相同时，可以期待更高的准确率，但每一步更慢。",
        ),
    },
}


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return steps to a target, accuracy at the end and the cost of a step, each arm at its best rate."""
    steps, rise = C4.rules[0].measure(tables), C13.rules[0].measure(tables)
    late = first_step_at(tables, "none", best_rate(tables, "none"), TARGET).isna().any()
    cost = paired(*(seconds_per_step(tables, arm).map(math.log2) for arm in ("batch", "none")))
    bound = ("at least ", "至少") if late else ("", "")
    return {
        "C4": write.say(
            f"To a test accuracy of {TARGET:.0%} the network without batch norm takes {bound[0]}"
            f"{write.factor(steps)} times the steps.",
            f"达到 {TARGET:.0%} 的测试准确率所需的步数，无批归一化{bound[1]}是有批归一化的 {write.factor(steps)} 倍。",
        ),
        "C13": write.say(
            f"Batch norm ends {write.points(rise)} points of test accuracy higher; a step takes "
            f"{write.factor(cost)} times as long with it.",
            f"最终测试准确率相差 {write.points(rise)} 个百分点（有批归一化减无批归一化）；每一步的时间是无批归一化的 "
            f"{write.factor(cost)} 倍。",
        ),
    }
