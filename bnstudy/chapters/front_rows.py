"""What the rows of the front page's figure measure: a judged quantity's short name, by its part.

A part's own name says what the tutorial's claim comes to, and beside a number that may read as its
opposite.
"""

from __future__ import annotations

from typing import Final

from bnstudy.analysis.saying import Said

_AGAINST: Final = {"1e-5": "1e-5", "1e-11": "1e-11", "1e-1": "0.1"}

ROWS: Final[dict[str, Said]] = {
    "no explosion without shift": Said(
        "seeds that diverge, one layer a step", "每步只更新一层时，发散的种子占比"
    ),
    "shift makes gradients grow": Said(
        "largest gradient, noise drawn afresh over frozen", "最大梯度，重抽噪声与固定噪声之比"
    ),
    "inputs drift less": Said(
        "how far a step moves layers' inputs, without over with", "一步使各层输入移动的距离，无与有之比"
    ),
    "backward sees what forward saw": Said(
        "cosine of gradients around a step, with minus without", "更新前后梯度夹角的余弦，有减无"
    ),
    "hidden layers are Gaussian": Said("hidden layers' distance to a Gaussian", "隐藏层与高斯分布的距离"),
    "logits are Gaussian": Said("logits' distance to a Gaussian", "logit 与高斯分布的距离"),
    "fewer steps": Said("steps to a result, without over with", "达到同样结果的步数，无与有之比"),
    "it generalises": Said(
        "accuracy at equal training accuracy, with minus without", "训练准确率相同时的测试准确率，有减无"
    ),
    "no worse than L2": Said("accuracy, batch norm minus L2", "准确率，批归一化减 L2"),
    "no worse than dropout": Said("accuracy, batch norm minus dropout", "准确率，批归一化减 dropout"),
    "nothing to gain from L2": Said(
        "accuracy that L2 adds to batch norm", "准确率，批归一化加 L2 减只用批归一化"
    ),
    "nothing to gain from dropout": Said(
        "accuracy that dropout adds to batch norm", "准确率，批归一化加 dropout 减只用批归一化"
    ),
    "annealed, against the last batch": Said(
        "annealed: decay 0.9 minus the last batch", "退火后的准确率，衰减率 0.9 减最后一批"
    ),
    "annealed, against the test batch": Said(
        "annealed: decay 0.9 minus the test batch", "退火后的准确率，衰减率 0.9 减测试批"
    ),
    "constant rate, against the last batch": Said(
        "constant rate: decay 0.9 minus the last batch", "恒定学习率下，衰减率 0.9 减最后一批"
    ),
    "constant rate, against the test batch": Said(
        "constant rate: decay 0.9 minus the test batch", "恒定学习率下，衰减率 0.9 减测试批"
    ),
    "too small a decay costs accuracy": Said(
        "accuracy, decay 0.9 minus decay 0", "准确率，衰减率 0.9 减衰减率 0"
    ),
    "what too large a decay loses is overfitting": Said(
        "lost by 0.999 and won back, beyond nine tenths", "0.999 的准确率降幅：能恢复的部分减降幅的九成"
    ),
    "training images don't lose it": Said(
        "lost by 0.999 on training images, beyond nine tenths", "0.999：训练准确率的降幅减测试降幅的九成"
    ),
    "hidden layers need no gamma": Said(
        "accuracy, gamma in hidden layers minus none", "准确率，隐藏层有 gamma 减无 gamma"
    ),
    "nor does the last layer": Said(
        "accuracy, gamma everywhere minus hidden alone", "准确率，各层有 gamma 减只有隐藏层有"
    ),
    **{
        f"{part} {epsilon}": Said(
            f"accuracy, epsilon 0.001 minus {said} ({en})", f"准确率，epsilon 取 0.001 减取 {said}（{zh}）"
        )
        for part, en, zh in (
            ("not worse than", "worse?", "是否更差"),
            ("no different from", "different?", "是否不同"),
        )
        for epsilon, said in _AGAINST.items()
    },
    "small test batches": Said(
        "accuracy in batches of 4, False minus True", "测试批大小为 4 时的准确率，False 减 True"
    ),
    "None is slower": Said("time of a step, None over UPDATE_OPS", "一步的时间，None 与 UPDATE_OPS 之比"),
    "accuracy rises": Said("accuracy at the end, with minus without", "最终准确率，有减无"),
    "a step flies": Said("time of a step, without over with", "一步的时间，无与有之比"),
    "a result flies": Said("time to a result, without over with", "达到同样结果的时间，无与有之比"),
}


def row_name(part: str, language: str) -> str:
    """Return what a part's row measures; the part's own name where it needs no other."""
    return str(getattr(ROWS[part], language)) if part in ROWS else part
