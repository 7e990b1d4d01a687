"""C5, second round: whether batch normalization generalises, and replaces L2 and dropout.

Reads the regularisation block: 5,000 training images, 60 passes, the last 15 annealed; arms {"none",
"batch"} x {"plain", "L2", "dropout"}, e.g. "batch L2". Every arm of a seed trains on the same images, and
holds out the same fixed 5,000 validation images. At every evaluation (the same steps in all arms; every
third pass will do, and more often while training accuracy is near 100 %), with the arm's own statistics
(moving of decay 0.9, or none):

* ``checkpoints`` of the training images (all 5,000) and of the validation images;
* ``hits`` and ``hits_index`` of the test images.

L2's and dropout's strengths are chosen on the validation images with tuning seeds. L2 and dropout each have
parts of their own, on top of both networks: the better of the two needn't be chosen anywhere.
"""

from __future__ import annotations

from bnstudy.analysis.judged.contrasts import AtEqualTraining, EarlyStopped
from bnstudy.analysis.judged.design import REGULARISATION
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Words
from bnstudy.analysis.judged.training import Evaluation

EXTRAS = ("L2", "dropout")
SMALLEST = 0.01

_STATISTICS = {"none": Evaluation("none"), "batch": Evaluation("moving", decay=0.9)}


def _arm(norm: str, extra: str) -> tuple[str, Evaluation]:
    return f"{norm} {extra}", _STATISTICS[norm]


def _early_stopped(
    name: str, first: tuple[str, Evaluation], second: tuple[str, Evaluation], pilot: Pilot
) -> Quantity:
    return Quantity(
        name,
        EarlyStopped("regularisation", first, second),
        (Reads(REGULARISATION, (first[0], second[0])),),
        "points",
        0.015,
        pilot,
    )


EQUAL_TRAINING = Quantity(
    "batch norm minus none, at equal training accuracy",
    AtEqualTraining("regularisation", _arm("batch", "plain"), _arm("none", "plain"), level=0.999, held=3),
    (Reads(REGULARISATION, ("batch plain", "none plain")),),
    "points",
    0.015,
    Pilot(0.05, 0.012, 0.003),
)

INSTEAD = {
    extra: _early_stopped(
        f"batch norm alone minus {extra} alone",
        _arm("batch", "plain"),
        _arm("none", extra),
        Pilot(0.04, 0.012, 0.003),
    )
    for extra in EXTRAS
}

ON_TOP = {
    extra: _early_stopped(
        f"{extra} on top of batch norm minus batch norm alone",
        _arm("batch", extra),
        _arm("batch", "plain"),
        Pilot(0.01, 0.01, 0.002),
    )
    for extra in EXTRAS
}

C5 = Claim(
    "C5",
    (
        Part("it generalises", EQUAL_TRAINING, "above", SMALLEST, {"by 5 points": 0.05}),
        *(Part(f"no worse than {extra}", INSTEAD[extra], "above", -SMALLEST) for extra in EXTRAS),
        *(Part(f"nothing to gain from {extra}", ON_TOP[extra], "below", SMALLEST) for extra in EXTRAS),
    ),
)

CLAIMS = (C5,)

_CHINESE = {"L2": "L2", "dropout": "dropout"}

WORDS = {
    "C5": Words(
        "有很强的泛化能力,在一些情况下,完全可以代替前面的正则化,dropout",
        "It generalises strongly and can, in some cases, replace regularisation and dropout entirely.",
        {
            "it generalises": (
                "Where both networks classify their training images equally well, the one with batch norm "
                "is right on at least 1 point more of the test images.",
                "训练准确率相同时，有 BN 的网络测试准确率至少高 1 个百分点。",
            ),
            "by 5 points": ("At least 5 points more.", "至少高 5 个百分点。"),
            **{
                f"no worse than {extra}": (
                    f"Batch norm alone isn't worse than {extra} alone by 1 point of test accuracy.",
                    f"只用 BN 的测试准确率即使低于只用 {_CHINESE[extra]} 的，也低不到 1 个百分点。",
                )
                for extra in EXTRAS
            },
            **{
                f"nothing to gain from {extra}": (
                    f"{extra} on top of batch norm wins less than 1 point of test accuracy.",
                    f"在 BN 之上再加 {_CHINESE[extra]}，测试准确率提高不到 1 个百分点。",
                )
                for extra in EXTRAS
            },
        },
        {
            "it generalises": "One point is the smallest difference of practical use at so few images, "
            "where seeds differ by more than a point.",
            **{
                f"no worse than {extra}": "The same point, as a loss that one would accept."
                for extra in EXTRAS
            },
            **{f"nothing to gain from {extra}": "The same point, as a gain." for extra in EXTRAS},
        },
    )
}
