"""What each rule's number is, in a few words: what the tables of the front pages have room for."""

from __future__ import annotations

from bnstudy.analysis.claims.averages import FLAG_SETTINGS
from bnstudy.analysis.claims.training import TARGET
from bnstudy.analysis.rules import Rule

_TARGET = f"{100 * TARGET:g} %"
_ORDERS = {"shuffled": "乱序", "sorted by class": "按类别排序"}

# By a rule's part, of which no two rules have the same: in English and in Chinese. The quantity comes first,
# and behind it the two arms that are compared, where there are two: one minus or over the other.
_LABELS = {
    "training explodes without normalisation": (
        "share of trainings that diverge, without minus with batch norm",
        "发散的训练所占比例，无 BN 减有 BN",
    ),
    "more shift, larger gradients": (
        "largest gradient norm, with noise in the layers over without",
        "最大梯度范数，各层加噪声与不加之比",
    ),
    "outputs drift less": (
        "distance that a step moves outputs, in their standard deviations, without over with batch norm",
        "一步更新使输出移动几个标准差，无 BN 与有 BN 之比",
    ),
    "backward sees what forward saw": (
        "cosine of a layer's gradient before and after the earlier layers' update, "
        "with minus without batch norm",
        "前面各层更新前后梯度的余弦，有 BN 减无 BN",
    ),
    "close to a Gaussian": (
        "distance of normalised values to the standard Gaussian",
        "归一化值到标准高斯分布的距离",
    ),
    "symmetric": ("absolute skewness of normalised values", "归一化值偏度的绝对值"),
    "steps": (
        f"steps to {_TARGET} test accuracy, without over with batch norm",
        f"测试准确率达到 {_TARGET} 的步数，无 BN 与有 BN 之比",
    ),
    "it generalises": (
        "training minus test accuracy, without minus with batch norm",
        "训练与测试准确率之差，无 BN 减有 BN",
    ),
    "no worse than what it replaces": (
        "test accuracy, batch norm minus the better of L2 and dropout",
        "测试准确率，仅用 BN 减 L2 与 dropout 中较好者",
    ),
    "nothing left to gain from them": (
        "test accuracy, L2 or dropout on top minus batch norm alone",
        "测试准确率，BN 之上再加 L2 或 dropout 减仅用 BN",
    ),
    "smoothing helps": (
        "test accuracy, moving averages minus batch statistics",
        "测试准确率，滑动平均减批统计量",
    ),
    "a large decay overfits": (
        "training minus test accuracy, {contrast}",
        "训练与测试准确率之差，{contrast}",
    ),
    "gamma is not needed before a ReLU": (
        "test accuracy, without minus with gamma before ReLUs",
        "测试准确率，ReLU 之前无 gamma 减有 gamma",
    ),
    "the default is fine": (
        "test accuracy, default epsilon minus the best of those recorded",
        "测试准确率，默认 epsilon 减所测中最好者",
    ),
    **{
        f"test batches of {size}, {order}": (
            f"test accuracy, False minus True, in batches of {size}, {order}",
            f"测试准确率，False 减 True，测试批大小 {size}，{_ORDERS[order]}",
        )
        for size, order in FLAG_SETTINGS
    },
    "training differs": (
        "share of training steps whose loss differs in any bit",
        "损失有任何一位不同的训练步所占比例",
    ),
    "None is slower": (
        "seconds a training step, in place over run with the step",
        "每个训练步的秒数，立即更新与随步更新之比",
    ),
    "one set of variables": (
        "share of variables that two calls have in common, with minus without reuse",
        "两次调用共有的变量所占比例，用 reuse 减不用",
    ),
    "accuracy rises": ("test accuracy, with minus without batch norm", "测试准确率，有 BN 减无 BN"),
    "computation flies": (
        f"seconds to {_TARGET} test accuracy, without over with batch norm",
        f"测试准确率达到 {_TARGET} 的秒数，无 BN 与有 BN 之比",
    ),
}


def label(rule: Rule, language: str) -> str:
    """Return what a claim's rule measures, in ``language``: ``"en"`` or ``"zh"``.

    Raises:
        KeyError: the rule decides no claim of the article, or has no label yet.
    """
    english, chinese = _LABELS[rule.part]
    if language == "en":
        return english.format(contrast=rule.contrast)
    return chinese.format(contrast=rule.contrast.replace(" minus ", " 减 "))
