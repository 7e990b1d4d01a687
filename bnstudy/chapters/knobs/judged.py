"""C8, C9 and C12, second round: scale, epsilon and reuse.

Reads the knobs block at the end of training (5 epochs, annealed to zero): ``hits`` and ``hits_index`` of
the test images with precise statistics, so that no noise of an average hides the network. Arms: "base"
(epsilon 1e-3, no gamma), "gamma hidden" (in the four hidden layers), "gamma everywhere", "epsilon 1e-5",
"epsilon 1e-1", "epsilon 1e-11". Each is compared with one that was named beforehand, never with the best of
several.
"""

from __future__ import annotations

from bnstudy.analysis.judged.contrasts import AtEpochs, minus
from bnstudy.analysis.judged.design import KNOBS
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Verified, Words
from bnstudy.analysis.judged.training import Evaluation

_END = (5.0,)


def _of(name: str, first: str, second: str, pilot: Pilot) -> Quantity:
    precise = Evaluation("precise")
    return Quantity(
        name,
        AtEpochs("knobs", _END, minus((first, precise), (second, precise))),
        (Reads(KNOBS, (first, second)),),
        "points",
        0.003,
        pilot,
    )


GAMMA = _of("gamma in hidden layers minus none", "gamma hidden", "base", Pilot(0.002, 0.005, 0.0007))
GAMMA_LAST = _of(
    "gamma everywhere minus in hidden layers", "gamma everywhere", "gamma hidden", Pilot(0.004, 0.005, 0.0009)
)
# The default minus another, once each.
EPSILONS = {
    other: _of(f"epsilon 1e-3 minus {other}", "base", f"epsilon {other}", Pilot(mean, 0.005, 0.0005))
    for other, mean in (("1e-5", 0.0), ("1e-11", 0.0), ("1e-1", 0.002))
}

SMALLEST = 0.005

C8 = Claim(
    "C8",
    (
        Part("hidden layers need no gamma", GAMMA, "within", SMALLEST),
        # No linear layer follows the last one, so that the claim's reason doesn't reach it: a finding beside
        # it.
        Part("nor does the last layer", GAMMA_LAST, "within", SMALLEST, votes=False),
    ),
)

# "The default is fine" asks that nothing better is missed; that another value is worse is no objection. Where
# epsilon makes no difference at all is asked of the same intervals, without a vote.
C9 = Claim(
    "C9",
    (
        *(
            Part(f"not worse than {other}", quantity, "above", -SMALLEST)
            for other, quantity in EPSILONS.items()
        ),
        *(
            Part(f"no different from {other}", quantity, "within", SMALLEST, votes=False)
            for other, quantity in EPSILONS.items()
        ),
    ),
    (Verified("no division by zero", True, "tests/test_settled.py::test_epsilon_avoids_a_division_by_zero"),),
)

C12 = Claim(
    "C12",
    (),
    (Verified("one set of variables", True, "tests/test_settled.py::test_reuse_shares_the_variables"),),
)

CLAIMS = (C8, C9, C12)

WORDS = {
    "C8": Words(
        "我们常习惯在BN后面接一个线性变化,如relu",
        "Gamma isn't needed where a ReLU, and then a linear layer, follows batch normalization.",
        {
            "hidden layers need no gamma": (
                "A gamma in the hidden layers changes test accuracy by less than half a point.",
                "隐藏层有无 gamma，测试准确率相差不到半个百分点。",
            ),
            "nor does the last layer": (
                "A gamma in the last layer, which no other layer can absorb, changes test accuracy by less "
                "than half a point.",
                "最后一层（后面没有能吸收 gamma 的层）有无 gamma，测试准确率相差不到半个百分点。",
            ),
        },
        dict.fromkeys(
            ("hidden layers need no gamma", "nor does the last layer"),
            "Half a point is the smallest difference of practical use.",
        ),
    ),
    "C9": Words(
        "为了避免分母为0",
        "Epsilon avoids a division by zero; the default, 0.001, is fine.",
        {
            **{
                f"not worse than {other}": (
                    f"The default isn't worse than {other} by half a point of test accuracy.",
                    f"默认值的测试准确率即使低于 {other} 的，也低不到半个百分点。",
                )
                for other in EPSILONS
            },
            **{
                f"no different from {other}": (
                    f"The default and {other} differ by less than half a point.",
                    f"默认值与 {other} 的测试准确率相差不到半个百分点。",
                )
                for other in EPSILONS
            },
            "no division by zero": (
                "A constant channel gives finite values with epsilon, and none without.",
                "有 epsilon 时，取值不变的通道给出有限值；没有则不能。",
            ),
        },
        {
            f"{part} {other}": "Half a point is the smallest difference of practical use."
            for part in ("not worse than", "no different from")
            for other in EPSILONS
        },
    ),
    "C12": Words(
        "支持变量共享",
        "`reuse` supports variable sharing.",
        {
            "one set of variables": (
                "Two calls under one scope share all variables with reuse; without, the second is an error.",
                "同一作用域（scope）下的两次调用，用 reuse 则共享全部变量，不用则第二次报错。",
            )
        },
    ),
}
