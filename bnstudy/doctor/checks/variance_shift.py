"""Dropout in front of batch norm, whose statistics are those of the noise."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.examination import MOVING, PRECISE, QUIET, Examination
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.remedies import RECALIBRATE


def _diagnose(found: Examination) -> Iterator[Finding]:
    cost = found.cost(MOVING, QUIET)
    of_noise = found.cost(PRECISE, QUIET)
    if cost is None or of_noise is None or cost.verdict != "harm" or of_noise.verdict != "harm":
        return
    yield CHECK.finding(
        "warning",
        None,
        f"statistics taken with dropout on cost {cost.in_words()} against those with dropout off",
        cause="Dropout raises the variance of what batch norm behind it sees, in training alone: in "
        "eval() it divides "
        "by a variance that isn't there (Li et al. 2018).",
        fix=RECALIBRATE + "\n# in a new model: dropout behind the last batch norm",
        sure="measured: paired 95 % intervals; the same weights, images and batches",
        **cost.evidence(),
    )


CHECK = Check(
    "variance-shift",
    "dropout in front of batch norm: statistics without it win",
    "arXivTimes/arXivTimes#608",
    diagnose=_diagnose,
)
