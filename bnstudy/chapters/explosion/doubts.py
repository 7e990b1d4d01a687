"""What C1's answer on noise says nothing of: more of it."""

from __future__ import annotations

from dataclasses import replace

from bnstudy.analysis.doubt import Doubt
from bnstudy.analysis.judged.design import SHIFT, TRAININGS
from bnstudy.analysis.judged.parts import Quantity, Reads
from bnstudy.analysis.saying import Said
from bnstudy.chapters.explosion.judged import FROM_SHIFT

MOST = 16


def _with_dose(dose: int) -> Quantity:
    fresh, frozen = f"fresh {dose}", f"frozen {dose}"
    return replace(
        FROM_SHIFT,
        name=f"{FROM_SHIFT.name}, {dose} times the published amount",
        estimate=replace(FROM_SHIFT.estimate, first=fresh, second=frozen),  # type: ignore[type-var]
        reads=(Reads(SHIFT, tuple(f"{arm}, {t}" for arm in (fresh, frozen) for t in TRAININGS)),),
    )


DOUBTS = (
    Doubt(
        "C1",
        "shift makes gradients grow",
        _with_dose(MOST),
        Said(
            f"At {MOST} times the amount it is {{found}}, {{answer}}.",
            f"噪声为文献的 {MOST} 倍时则为 {{found}}，{{answer}}。",
        ),
    ),
)
