"""What is said of C5 in one sentence, and what to do about it."""

from __future__ import annotations

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.regularisation.rules import C5, gains, of

FOUND = {
    "batch norm minus none, at equal training accuracy": Said(
        "At equal training accuracy batch norm is {} of test accuracy ahead.",
        "训练准确率相同时，有批归一化的测试准确率高 {}。",
    ),
    "batch norm alone minus L2 alone": Said("Alone it is {} ahead of L2 alone,", "单用它比单用 L2 高 {}，"),
    "batch norm alone minus dropout alone": Said("and {} of dropout alone.", "比单用 dropout 高 {}。"),
    "L2 on top of batch norm minus batch norm alone": Said("L2 on top of it adds {},", "再加 L2 提高 {}，"),
    "dropout on top of batch norm minus batch norm alone": Said(
        "dropout on top of it {}.", "再加 dropout 提高 {}。"
    ),
}
ADVICE = {
    "C5": {
        "supported": Said(
            "Leave L2 and dropout out where there is batch norm.", "有批归一化时，可以不用 L2 和 dropout。"
        ),
        "": Said(
            "Put no dropout before batch norm; choose L2 on held-out images.",
            "不要把 dropout 放在批归一化之前；L2 的强度用留出的图像来选。",
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
            f"单用批归一化比不用它时 L2 与 dropout 中较好者高 {write.points(replaced)} 个百分点；在它之前加 dropout 损失 "
            f"{write.lost(before)} 个百分点。",
        )
    }
