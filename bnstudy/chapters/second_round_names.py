"""What the second round's parts, quantities and reasons are called on its Chinese page.

Their English names are keys, which records' digests cover; these decide nothing, and stand apart.
"""

from __future__ import annotations

from typing import Final

# Parts, grades and what a test verifies.
PARTS: Final[dict[str, str]] = {
    "no explosion without shift": "没有偏移就不爆炸",
    "shift makes gradients grow": "偏移使梯度增大",
    "twice as large": "增大到两倍",
    "inputs drift less": "输入移动的距离更小",
    "half as much": "距离小到一半",
    "backward sees what forward saw": "更新前后梯度方向变化更小",
    "hidden layers are Gaussian": "隐藏层是高斯分布",
    "logits are Gaussian": "logit 是高斯分布",
    "mean 0 and variance 1": "均值为 0、方差为 1",
    "fewer steps": "步数更少",
    "twice as fast": "快一倍",
    "it generalises": "本身能提高泛化能力",
    "by 5 points": "高 5 个百分点",
    "no worse than L2": "不比 L2 差",
    "no worse than dropout": "不比 dropout 差",
    "nothing to gain from L2": "再加 L2 没有好处",
    "nothing to gain from dropout": "再加 dropout 没有好处",
    "annealed, against the last batch": "退火后，与最后一批相比",
    "annealed, against the test batch": "退火后，与测试批相比",
    "constant rate, against the last batch": "恒定学习率，与最后一批相比",
    "constant rate, against the test batch": "恒定学习率，与测试批相比",
    "too small a decay costs accuracy": "衰减率太小会降低准确率",
    "what too large a decay loses is overfitting": "衰减率太大造成的下降是过拟合",
    "training images don't lose it": "训练准确率没有同样下降",
    "hidden layers need no gamma": "隐藏层不需要 gamma",
    "nor does the last layer": "最后一层也不需要",
    **{f"not worse than {epsilon}": f"不比 {epsilon} 差" for epsilon in ("1e-5", "1e-11", "1e-1")},
    **{f"no different from {epsilon}": f"与 {epsilon} 没有差别" for epsilon in ("1e-5", "1e-11", "1e-1")},
    "no division by zero": "不会除以零",
    "small test batches": "测试批很小时",
    "what the flag does": "训练标志的作用",
    "None is slower": "设为 None 更慢",
    "by a tenth": "慢十分之一",
    "a batch uses the previous statistics": "每批使用前一批的统计量",
    "one set of variables": "共享一组变量",
    "accuracy rises": "准确率提高",
    "a step flies": "每一步都更快",
    "a result flies": "更快得到结果",
}

QUANTITIES: Final[dict[str, str]] = {
    "share of seeds that diverge, one layer a step in turn": (
        "每步只更新一层、轮流进行时，发散的随机种子所占比例"
    ),
    "largest gradient norm, fresh over frozen noise": "最大的梯度范数，重抽噪声与固定噪声之比",
    "drift of the layers' inputs in a step, none over batch norm": (
        "一步更新使各层输入移动的距离，无批归一化与有批归一化之比"
    ),
    "cosine of gradients before and after the earlier layers' update, batch norm minus none": (
        "前面各层更新前后梯度夹角的余弦，有批归一化减无批归一化"
    ),
    "Kolmogorov distance to a Gaussian, hidden layers": "与高斯分布的 Kolmogorov–Smirnov（KS）距离，隐藏层",
    "Kolmogorov distance to a Gaussian, logits": "与高斯分布的 KS 距离，logit",
    "steps to a result, none over batch norm": "达到同样结果的步数，无批归一化与有批归一化之比",
    "batch norm minus none, at equal training accuracy": (
        "训练准确率相同时的测试准确率，有批归一化减无批归一化"
    ),
    "batch norm alone minus L2 alone": "测试准确率，只用批归一化减只用 L2",
    "batch norm alone minus dropout alone": "测试准确率，只用批归一化减只用 dropout",
    "L2 on top of batch norm minus batch norm alone": "测试准确率，批归一化加 L2 减只用批归一化",
    "dropout on top of batch norm minus batch norm alone": "测试准确率，批归一化加 dropout 减只用批归一化",
    "annealed: decay 0.9 minus decay 0": "退火后的测试准确率，衰减率 0.9 减衰减率 0",
    "annealed: decay 0.9 minus the test batch's own": "退火后的测试准确率，衰减率 0.9 减测试批自身的统计量",
    "constant rate: decay 0.9 minus decay 0": "恒定学习率下的测试准确率，衰减率 0.9 减衰减率 0",
    "constant rate: decay 0.9 minus the test batch's own": (
        "恒定学习率下的测试准确率，衰减率 0.9 减测试批自身的统计量"
    ),
    "lost by decay 0.999 and won back with the same weights": (
        "衰减率 0.999 所致测试准确率下降中，同一组权重换用精确统计量能恢复的部分，减去这一下降的九成"
    ),
    "lost by decay 0.999 on training images too": (
        "衰减率 0.999 使训练准确率下降的幅度，减去测试准确率降幅的九成"
    ),
    "gamma in hidden layers minus none": "测试准确率，隐藏层有 gamma 减无 gamma",
    "gamma everywhere minus in hidden layers": "测试准确率，各层都有 gamma 减只有隐藏层有",
    **{
        f"epsilon 1e-3 minus {epsilon}": f"测试准确率，epsilon 1e-3 减 {epsilon}"
        for epsilon in ("1e-5", "1e-11", "1e-1")
    },
    "is_training False minus True in test batches of 4": (
        "测试批大小为 4 时的测试准确率，is_training=False 减 True"
    ),
    "seconds a step, in place over with the step": "每步秒数，就地更新与随训练步更新之比",
    "test accuracy at the end, batch norm minus none": "训练结束时的测试准确率，有批归一化减无批归一化",
    "seconds a step, none over batch norm": "每步秒数，无批归一化与有批归一化之比",
    "seconds to a result, none over batch norm": "达到同样结果的秒数，无批归一化与有批归一化之比",
}

# Why bounds lie where they do.
REASONS: Final[dict[str, str]] = {
    "A cause without which nothing happens would leave no seed exploding; half is the bound that sixteen "
    "seeds can tell from all and from none.": (
        "如果偏移是必不可少的原因，没有它就不该有种子发散；以一半为界，十六个随机种子就足以把它同“全部发散”和“全不发散”都区分开。"
    ),
    "As small a growth as one would still notice: a quarter.": "四分之一是还看得出来的最小增幅。",
    "A quarter is the least that one would notice.": "四分之一是看得出来的最小差别。",
    "A sign: the cosine's size stands beside what halving the learning rate does to it.": (
        "只看正负：余弦之差多大才算大，可与学习率减半时的变化相比。"
    ),
    "No probability is off by more than 5 points; a uniform distribution is off by 5.7, a Laplace by 6.2, an "
    "exponential by 16.": (
        "任何概率的偏差都不超过 5 个百分点；均匀分布的偏差为 5.7，拉普拉斯分布为 6.2，指数分布为 16。"
    ),
    "As for the hidden layers.": "同隐藏层。",
    "A quarter is the least that one would call fast; twice, what one would call very fast.": (
        "快四分之一，才称得上快；快到两倍，才称得上非常快。"
    ),
    "One point is the smallest difference of practical use at so few images, where seeds differ by more than "
    "a point.": (
        "训练图像这么少时，随机种子之间的差别就不止一个百分点，所以有实际用处的最小差别是一个百分点。"
    ),
    "The same point, as a loss that one would accept.": "同样是一个百分点：可以接受的准确率下降。",
    "The same point, as a gain.": "同样是一个百分点：值得一提的准确率提高。",
    "Half a point is the smallest difference of practical use.": "半个百分点是有实际用处的最小差别。",
    "Whether staleness costs more than smoothing wins: a sign.": (
        "只看正负：滞后带来的害处是否超过平均带来的好处。"
    ),
    "Overfitting is in the weights: no other statistics could win it back. With a for test accuracy, "
    "a(precise) − 0.9 a(0.9) − 0.1 a(0.999) is above 0 exactly where precise statistics win back more than "
    "0.9 of a(0.9) − a(0.999): a ratio's question without a ratio.": (
        "如果是过拟合，问题在权重里，换用什么统计量都不能恢复。以 a 记测试准确率，"
        "a(精确) − 0.9 a(0.9) − 0.1 a(0.999) 大于 0，"
        "当且仅当精确统计量能恢复的超过 a(0.9) − a(0.999) 的 0.9 倍：这样问的是比值，却不必计算比值。"
    ),
    "Overfitting lowers test accuracy and not training accuracy.": (
        "过拟合降低的是测试准确率，而不是训练准确率。"
    ),
    "Two points are a loss that nobody would overlook, at a size met in practice.": (
        "准确率下降两个百分点，谁也不会忽视；这样的测试批大小，实践中也确实会用到。"
    ),
    '"A little slower" is any cost at all; a tenth would be one to mind.': (
        "只要慢一点就算“稍慢”；慢十分之一，才值得在意。"
    ),
    "Two points are a rise that one would call marked.": "提高两个百分点，才称得上“显著的得到了提升”。",
    "As for C4.": "同 C4。",
}

CHAPTERS: Final[dict[str, str]] = {
    "convergence": "收敛",
    "covariate_shift": "协变量偏移",
    "decay": "衰减率",
    "explosion": "梯度爆炸",
    "knobs": "其余参数",
    "regularisation": "正则化",
    "train_flag": "训练标志",
    "updates_collections": "更新方式",
}
