"""C2 and C3, second round: what batch normalization keeps in place, and whether it makes anything Gaussian.

Reads the shift block: arms "none, sgd", "batch, sgd", "none, adam", "batch, adam" (SGD at 0.1, Adam at
0.001, float32, half an epoch), at 12 or more log-spaced probed steps, in the layers' own names:

* ``activation_drift``, input_wasserstein and input_std of convolutions 2 to 5: what these layers are given,
  which is what the blocks before them put out, behind normalisation, ReLU and pooling. (A convolution's own
  output lies before the normalisation, and says nothing of what that keeps in place.)
* ``internal_covariate_shift``, cosine (and ics) of convolutions 2 to 5. The first has no layer before it
  and the cosine 1 by definition; norm layers are in one network only.
* ``gaussianity`` of arm "batch": normalised_kolmogorov of the five norm layers: the Kolmogorov distance of
  a unit's normalised values, standardised, to N(0, 1), averaged over units. From at least 2,000 images a
  probed step: of 128 the logits have 512 values a unit, four and four of one image, and a Gaussian's own
  distance there would be as large as the bound; with 2,000 images it is below 0.015 (gaussian_kolmogorov,
  shown beside it).
"""

from __future__ import annotations

import math

from bnstudy.analysis.judged.design import SHIFT, TRAININGS
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Verified, Words
from bnstudy.analysis.judged.probed import Probe, Probed

CONVOLUTIONS = tuple(f"blocks.conv{i}.conv" for i in range(2, 6))
HIDDEN = tuple(f"blocks.conv{i}.norm" for i in range(1, 5))
LOGITS = ("blocks.conv5.norm",)

_EACH = tuple(TRAININGS)


def _reads(*arms: str) -> tuple[Reads, ...]:
    return (Reads(SHIFT, tuple(f"{arm}, {training}" for arm in arms for training in _EACH)),)


DRIFT = Quantity(
    "drift of the layers' inputs in a step, none over batch norm",
    Probed(
        "shift",
        Probe("activation_drift", "input_wasserstein", CONVOLUTIONS, over="input_std"),
        "none",
        "batch",
        _EACH,
        "factor",
    ),
    _reads("none", "batch"),
    "factor",
    math.log2(1.25),
    Pilot(1.7, 0.15),
)

COSINE = Quantity(
    "cosine of gradients before and after the earlier layers' update, batch norm minus none",
    Probed("shift", Probe("internal_covariate_shift", "cosine", CONVOLUTIONS), "batch", "none", _EACH),
    _reads("none", "batch"),
    "number",
    0.03,
    Pilot(0.034, 0.035),
)


def _shape(layers: tuple[str, ...]) -> Probed:
    return Probed("shift", Probe("gaussianity", "normalised_kolmogorov", layers), "batch", "", _EACH)


HIDDEN_SHAPE = Quantity(
    "Kolmogorov distance to a Gaussian, hidden layers",
    _shape(HIDDEN),
    _reads("batch"),
    "number",
    0.01,
    Pilot(0.06, 0.004),
)
LOGITS_SHAPE = Quantity(
    "Kolmogorov distance to a Gaussian, logits",
    _shape(LOGITS),
    _reads("batch"),
    "number",
    0.01,
    Pilot(0.08, 0.01),
)

C2 = Claim(
    "C2",
    (
        Part("inputs drift less", DRIFT, "above", math.log2(1.25), {"half as much": 1.0}),
        Part("backward sees what forward saw", COSINE, "above", 0.0),
    ),
)

NOT_GAUSSIAN = 0.05

C3 = Claim(
    "C3",
    (
        Part("hidden layers are Gaussian", HIDDEN_SHAPE, "below", NOT_GAUSSIAN),
        Part("logits are Gaussian", LOGITS_SHAPE, "below", NOT_GAUSSIAN),
    ),
    (Verified("mean 0 and variance 1", True, "tests/test_settled.py::test_mean_0_and_variance_1"),),
)

CLAIMS = (C2, C3)

WORDS = {
    "C2": Words(
        "最大限度地保证每次的正向传播输出在同一分布上",
        "Batch normalization keeps every forward pass on one distribution, so that backward and forward see "
        "the same.",
        {
            "inputs drift less": (
                "A step moves the inputs of convolutions 2 to 5, in their standard deviations, at least "
                "1.25 times as far without batch norm.",
                "一步更新使第 2～5 个卷积层的输入移动的距离（以标准差计），无 BN 至少是有 BN 的 1.25 倍。",
            ),
            "half as much": ("At least twice as far.", "至少是两倍。"),
            "backward sees what forward saw": (
                "The gradients of convolutions 2 to 5 turn less when earlier layers are updated: the cosine "
                "is larger with batch norm.",
                "前面各层更新前后，第 2～5 个卷积层的梯度方向变化更小：有 BN 时余弦更大。",
            ),
        },
        {
            "inputs drift less": "A quarter is the least that one would notice.",
            "backward sees what forward saw": "A sign: the cosine's size stands beside what halving the "
            "learning rate does to it.",
        },
    ),
    "C3": Words(
        "归一化成均值为0方差为1的标准高斯分布",
        "It makes each layer's result a standard Gaussian, of mean 0 and variance 1.",
        {
            "hidden layers are Gaussian": (
                "Normalised values of hidden layers are within a Kolmogorov distance of 0.05 of a Gaussian.",
                "隐藏层归一化后的值与高斯分布的 Kolmogorov–Smirnov（KS）距离小于 0.05。",
            ),
            "logits are Gaussian": (
                "Normalised values of the logits are within a Kolmogorov distance of 0.05 of a Gaussian.",
                "归一化后的 logit 与高斯分布的 KS 距离小于 0.05。",
            ),
            "mean 0 and variance 1": (
                "Normalised training batches have mean 0 and variance 1, but for epsilon.",
                "归一化之后，训练批的均值为 0、方差为 1（epsilon 的影响除外）。",
            ),
        },
        {
            "hidden layers are Gaussian": "No probability is off by more than 5 points; a uniform "
            "distribution is off by 5.7, a Laplace by 6.2, an exponential by 16.",
            "logits are Gaussian": "As for the hidden layers.",
        },
    ),
}
