"""What is said of C5 in one sentence, and what to do about it."""

from __future__ import annotations

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.regularisation.rules import C5, gains, of

FOUND = {
    "batch norm minus none, at equal training accuracy": Said(
        "At equal training accuracy batch norm is {} of test accuracy ahead.",
        "训练准确率相同时，测试准确率之差（有批归一化减无批归一化）为 {}。",
    ),
    "batch norm alone minus L2 alone": Said(
        "Alone it is {} ahead of L2 alone,", "测试准确率之差，只用批归一化减只用 L2 为 {}，"
    ),
    "batch norm alone minus dropout alone": Said("and {} of dropout alone.", "减只用 dropout 为 {}。"),
    "L2 on top of batch norm minus batch norm alone": Said(
        "L2 on top of it adds {},", "在批归一化上再加 L2，测试准确率改变 {}，"
    ),
    "dropout on top of batch norm minus batch norm alone": Said(
        "dropout on top of it {}.", "再加 dropout 则改变 {}。"
    ),
}
ADVICE = {
    "C5": {
        "supported": Said(
            "Leave L2 and dropout out where there is batch norm.", "有批归一化时，可以不用 L2 和 dropout。"
        ),
        "": Said(
            "Put no dropout before batch norm; choose L2 on held-out images.",
            "不要把 dropout 放在批归一化之前；L2 的强度用留出的验证图像来选。",
        ),
    }
}


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return how batch norm does against what it is to replace, and what dropout before it costs."""
    replaced = C5.rules[1].measure(tables)
    before = -of(gains(tables), "dropout + batch", "all")
    return {
        "C5": write.say(
            f"Alone it is {write.points(replaced)} points of test accuracy ahead of the better of L2 and dropout "
            f"without it; dropout in front of it costs {write.lost(before)} points.",
            f"测试准确率，只用批归一化与不用它时 L2 和 dropout 中较好者相差 {write.points(replaced)} 个百分点；在它之前加 dropout，"
            f"测试准确率的降幅为 {write.lost(before)} 个百分点。",
        )
    }
