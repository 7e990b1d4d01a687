"""What is said of C6 and C7 in one sentence each, and what to do about it."""

from __future__ import annotations

import math

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import Tables, last_step, rows
from bnstudy.chapters.decay.rules import accuracy, difference, error_split

FOUND = {
    "annealed: decay 0.9 minus decay 0": Said(
        "Annealed, decay 0.9 leads the last batch by {}.",
        "学习率退火后，测试准确率之差，衰减率 0.9 的滑动平均减最后一批的统计量（衰减率 0）为 {}。",
    ),
    "annealed: decay 0.9 minus the test batch's own": Said(
        "It leads the test batch by {}.", "减测试批自身的统计量为 {}。"
    ),
    "constant rate: decay 0.9 minus decay 0": Said(
        "At a constant rate it leads by {}", "恒定学习率下，减最后一批的为 {}，"
    ),
    "constant rate: decay 0.9 minus the test batch's own": Said("and {}.", "减测试批的为 {}。"),
    "lost by decay 0.999 and won back with the same weights": {
        "doesn't hold": Said(
            "What 0.999 loses early isn't overfitting: precise statistics win back nine tenths of it and {} more,",
            "衰减率 0.999 在训练早期使准确率下降，但这不是过拟合：权重不变，只换用精确统计量，恢复的准确率就超过降幅的九成（超出 {}）；",
        ),
        "": Said(
            "What precise statistics of the same weights win back of what 0.999 loses early lies {} above nine "
            "tenths of it,",
            "衰减率 0.999 早期造成的下降中，同一组权重换用精确统计量能恢复的部分，减去这一下降的九成为 {}；",
        ),
    },
    "lost by decay 0.999 on training images too": {
        "doesn't hold": Said(
            "and training images lose nine tenths as much and {} more.",
            "训练准确率也一同下降，降幅超过测试准确率降幅的九成（超出 {}）。",
        ),
        "": Said(
            "and what training images lose lies {} above nine tenths of it.",
            "训练准确率的降幅减去测试准确率降幅的九成为 {}。",
        ),
    },
}
ADVICE = {
    "C6": {
        "supported": Said("Evaluate with moving averages of decay 0.9.", "评估时用衰减率 0.9 的滑动平均。"),
        "refuted": Said("Recalibrate the statistics before you evaluate.", "评估之前重新校准统计量。"),
        "": Said(
            "While the learning rate is high, compute mean and variance anew over training images before you evaluate.",
            "学习率还较大时，评估之前先重新校准：固定权重，用训练图像重新计算均值和方差。",
        ),
    },
    "C7": {
        "supported": Said("Keep the decay small.", "衰减率不要取大。"),
        "": Said(
            "Take decay 0.9 (PyTorch: momentum 0.1, its default).",
            "衰减率取 0.9（即 PyTorch 的 momentum 取默认值 0.1）。",
        ),
    },
}
_PLAIN = {"statistics": "moving", "zero_debias": "none"}
_USUAL, _LARGE = 0.9, 0.999


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return what staleness costs under each schedule, and where what a large decay loses goes."""
    for decay in (_USUAL, _LARGE):
        rows(tables, "evaluation", decay=decay)  # raises where a parameter left it out
    lost = {}
    for schedule in ("constant", "annealed"):
        last = last_step(rows(tables, "evaluation", schedule=schedule))
        lost[schedule] = difference(last, {"statistics": "precise"}, {**_PLAIN, "decay": _USUAL})
    last = last_step(rows(tables, "evaluation", schedule="constant"))
    total = accuracy(last, decay=_USUAL, **_PLAIN) - accuracy(last, decay=_LARGE, **_PLAIN)
    split = last_step(error_split(last))
    part = {
        name: write.lost(
            split[(split["part"] == name) & (split["decay"] == _LARGE)]["loss_of_accuracy"], mean_interval
        )
        for name in ("initialisation bias", "staleness")
    }
    steps = write.cite(f"{int(last['step'].iloc[0]):,}")
    half = f"{math.log(0.5) / math.log(_LARGE):.0f}"
    return {
        "C6": write.say(
            f"Averages of decay 0.9 lose {write.lost(lost['constant'], mean_interval)} points to precise statistics while the "
            f"learning rate stays constant, and {write.lost(lost['annealed'], mean_interval)} once it is annealed.",
            f"测试准确率的降幅，衰减率 0.9 的滑动平均与精确统计量相比，恒定学习率下为 {write.lost(lost['constant'], mean_interval)} 个百分点，退火后为 "
            f"{write.lost(lost['annealed'], mean_interval)} 个百分点。",
        ),
        "C7": write.say(
            f"After {steps} steps decay 0.999 (half-life {half} steps) costs {write.lost(total, mean_interval)} points "
            f"against 0.9. Against precise statistics of the same weights it loses {part['initialisation bias']} since "
            f"the average isn't filled, and {part['staleness']} since it describes earlier weights.",
            f"{steps} 步之后，衰减率 0.999（半衰期 {half} 步）与 0.9 相比，测试准确率的降幅为 {write.lost(total, mean_interval)} 个百分点。"
            f"与同一组权重的精确统计量相比，降幅中来自初始偏差（平均里还留着初始值）的为 {part['initialisation bias']}，来自滞后"
            f"（平均描述的是此前的权重）的为 {part['staleness']}。",
        ),
    }
