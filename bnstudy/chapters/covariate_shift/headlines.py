"""What is said of C2 and C3 in one sentence each, and what to do about it."""

from __future__ import annotations

from bnstudy.analysis.saying import Said, Writer
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.covariate_shift.rules import C2, C3

FOUND = {
    "drift of the layers' inputs in a step, none over batch norm": Said(
        "Without batch norm a step moves the layers' inputs {} as far.",
        "无批归一化时，一步训练使各层输入移动的距离是有批归一化的 {}。",
    ),
    "cosine of gradients before and after the earlier layers' update, batch norm minus none": Said(
        "The cosine of a layer's gradients around the earlier layers' update is {} higher with it.",
        "某一层的梯度在前面各层更新之前与之后有一个夹角，其余弦（越接近 1，梯度越稳定）有批归一化比无批归一化高 {}。",
    ),
    "Kolmogorov distance to a Gaussian, hidden layers": Said(
        "Normalised values of hidden layers are {} from a Gaussian (Kolmogorov's distance).",
        "隐藏层归一化后的值与高斯分布的 KS 距离（Kolmogorov–Smirnov 距离）为 {}。",
    ),
    "Kolmogorov distance to a Gaussian, logits": Said(
        "Those of the logits are {} from it.", "logit 层为 {}。"
    ),
}
ADVICE = {
    "C2": {
        "supported": Said(
            "Expect steadier inputs; don't count on steadier gradients.",
            "批归一化能使各层的输入更稳定；梯度不一定都更稳定，要用到这一点时请先逐层检查。",
        ),
        "": Said(
            "Expect steadier activations from batch norm; steadier gradients aren't shown.",
            "可以期待批归一化使各层的输入更稳定；梯度是否更稳定，尚无证据。",
        ),
    },
    "C3": {
        "supported": Said(
            "For rough probabilities treat normalised values as Gaussian; not in the tails.",
            "粗略估计概率时，可以把归一化后的值当作高斯分布，但不要用于尾部。",
        ),
        "": Said(
            "Rely on mean 0 and variance 1, and on nothing else of the shape.",
            "只能依赖均值为 0、方差为 1，不要假定分布的形状。",
        ),
    },
}


def explored(tables: Tables, write: Writer) -> dict[str, str]:
    """Return drift and cosine with batch norm and without, and the distance to a Gaussian."""
    drift, cosine = (rule.measure(tables) for rule in C2.rules)
    distance = C3.rules[0].measure(tables)
    return {
        "C2": write.say(
            f"A step moves the layers' outputs {write.factor(drift)} times as far without batch norm. The cosine of a "
            f"layer's gradients before and after the earlier layers' update is {write.number(cosine)} higher with it.",
            f"无批归一化时，一步训练使各层输出移动的距离是有批归一化的 {write.factor(drift)} 倍；前面各层更新前后，"
            f"梯度夹角的余弦之差（有批归一化减无批归一化）为 {write.number(cosine)}。",
        ),
        "C3": write.say(
            f"Mean and variance are 0 and 1; the shape lies {write.number(distance)} standard deviations from a "
            "Gaussian's (Wasserstein's distance).",
            f"均值和方差确为 0 和 1，但形状与高斯分布相距 {write.number(distance)} 个标准差（Wasserstein 距离）。",
        ),
    }
