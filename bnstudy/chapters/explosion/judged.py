"""C1, second round: whether internal covariate shift is needed for gradients to explode, and whether it is
enough.

*Needed?* The in-turn block: no normalisation, the article's initialisation, SGD at rate 1, at which all
layers updated "at once" diverge. "in turn" updates one layer a step: no layer's update meets that of an
earlier one, so that the shift is zero by definition. Reads whether each training diverged.

*Enough?* The shift block: noise behind every norm layer, of 4 times the published dose, drawn "fresh" at
each forward or "frozen" for the run; arms "fresh 4, sgd", "frozen 4, sgd", "fresh 4, adam", "frozen 4,
adam". Both networks are as noisy; only the fresh one's distributions shift from step to step. Reads
``gradient_health`` (total_norm, at every probed step) and ``internal_covariate_shift``
(ics_relative_redrawn of convolutions 2 to 5: as ics_relative, but with the noise of the next forward pass
in G', which frozen noise keeps). Fresh noise shifts distributions, though not *by the updates of earlier
layers*: it tests the half of the claim that says what a shift does. The other doses are shown without a
verdict: a slope across doses would mix the shift's size with the noise's.
"""

from __future__ import annotations

import math

from bnstudy.analysis.judged.design import IN_TURN, SHIFT, TRAININGS
from bnstudy.analysis.judged.parts import Claim, Part, Pilot, Quantity, Reads, Words
from bnstudy.analysis.judged.probed import Diverges, LargestGradient, Probe
from bnstudy.chapters.covariate_shift.judged import CONVOLUTIONS

WITHOUT_SHIFT = Quantity(
    "share of seeds that diverge, one layer a step in turn",
    Diverges("in turn", "in turn", premise="at once", share=0.875),
    (Reads(IN_TURN, ("in turn", "at once")),),
    "share",
    0.5,
    Pilot(1.0, 0.0),
)

FROM_SHIFT = Quantity(
    "largest gradient norm, fresh over frozen noise",
    LargestGradient(
        "shift",
        "fresh 4",
        "frozen 4",
        tuple(TRAININGS),
        Probe("internal_covariate_shift", "ics_relative_redrawn", CONVOLUTIONS),
        manipulated=1.5,
    ),
    (Reads(SHIFT, tuple(f"{arm}, {t}" for arm in ("fresh 4", "frozen 4") for t in TRAININGS)),),
    "factor",
    math.log2(1.25),
    Pilot(0.05, 0.2),
)

C1 = Claim(
    "C1",
    (
        Part("no explosion without shift", WITHOUT_SHIFT, "below", 0.5),
        Part("shift makes gradients grow", FROM_SHIFT, "above", math.log2(1.25), {"twice as large": 1.0}),
    ),
)

CLAIMS = (C1,)

WORDS = {
    "C1": Words(
        "产生梯度爆炸的原因是因为网络的内部协变量转移",
        "Exploding gradients come from internal covariate shift.",
        {
            "no explosion without shift": (
                "At a rate at which training diverges, fewer than half of the seeds do when one layer at a "
                "time is updated, which leaves no internal covariate shift.",
                "在训练会发散的学习率下，若每步只更新一层（一步之内没有内部协变量偏移），发散的随机种子不到一半。",
            ),
            "shift makes gradients grow": (
                "Noise that is drawn anew at each pass makes the largest gradient at least 1.25 times what "
                "the same amount of frozen noise does.",
                "噪声每次前向都重新抽取时，最大梯度至少是同等大小的固定噪声下的 1.25 倍。",
            ),
            "twice as large": ("At least twice.", "至少是两倍。"),
        },
        {
            "no explosion without shift": "A cause without which nothing happens would leave no seed "
            "exploding; half is the bound that sixteen seeds can tell from all and from none.",
            "shift makes gradients grow": "As small a growth as one would still notice: a quarter.",
        },
    )
}
