"""What is said of C5 in one sentence, and what to do about it."""

from __future__ import annotations

from bnstudy.analysis.judged.verdicts import Judgement
from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.regularisation.judged import EXTRAS
from bnstudy.chapters.regularisation.rules import C5, gains, of

FOUND = {
    "batch norm minus none, at equal training accuracy": Said(
        "at the same training accuracy, batch norm is {} ahead on test images.",
        "训练准确率相同时，测试准确率之差（有批归一化减无批归一化）为 {}。",
    ),
    "batch norm alone minus L2 alone": {
        "holds": Said("Against L2 alone no worse: {};", "只用批归一化不比只用 L2 差（前者减后者 {}）；"),
        "doesn't hold": Said("Against L2 alone worse: {};", "只用批归一化比只用 L2 差（前者减后者 {}）；"),
        "": Said(
            "Against L2 alone open: {};",
            "只用批归一化是否比只用 L2 差 1 个百分点以上，尚无法判断（前者减后者 {}）；",
        ),
    },
    "batch norm alone minus dropout alone": {
        "holds": Said(
            "against dropout alone no worse: {}.", "只用批归一化不比只用 dropout 差（前者减后者 {}）。"
        ),
        "doesn't hold": Said(
            "against dropout alone worse: {}.", "只用批归一化比只用 dropout 差（前者减后者 {}）。"
        ),
        "": Said(
            "against dropout alone open: {}.",
            "只用批归一化是否比只用 dropout 差 1 个百分点以上，尚无法判断（前者减后者 {}）。",
        ),
    },
    "L2 on top of batch norm minus batch norm alone": Said(
        "L2 on top adds {},", "在批归一化上再加 L2，测试准确率 {}，"
    ),
    "dropout on top of batch norm minus batch norm alone": Said("dropout {}.", "若改加 dropout，则 {}。"),
}
ADVICE = {
    "C5": {
        "supported": Said(
            "Leave L2 and dropout out where there is batch norm.", "有批归一化时，可以不用 L2 和 dropout。"
        ),
        "": Said(
            "Put no dropout before batch norm; choose on held-out images whether L2 or dropout behind it helps.",
            "不要把 dropout 放在批归一化之前；要不要加 L2，要不要在它之后加 dropout，用留出的验证图像来定。",
        ),
    }
}
# What to do by what is worth adding to batch norm, of L2 and dropout.
_ADD = {
    ("L2", "dropout"): Said(
        "With few images, add dropout (after the activation) or L2; choose its strength on held-out images.",
        "训练图像少时，在批归一化之外再加 dropout（放在激活函数之后）或 L2，强度在留出的验证图像上选。",
    ),
    ("L2",): Said(
        "With few images, add L2; choose its strength on held-out images.",
        "训练图像少时，在批归一化之外再加 L2，强度在留出的验证图像上选。",
    ),
    ("dropout",): Said(
        "With few images, add dropout (after the activation); choose its share on held-out images.",
        "训练图像少时，在批归一化之外再加 dropout（放在激活函数之后），丢弃比例在留出的验证图像上选。",
    ),
}


def advised(judgement: Judgement) -> Said | None:
    """Return what to do by the parts of the verdict: add what wins a point or more on top of batch norm."""
    answers = {finding.part.name: finding.answer for finding in judgement.findings}
    return _ADD.get(tuple(e for e in EXTRAS if answers.get(f"nothing to gain from {e}") == "doesn't hold"))


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
