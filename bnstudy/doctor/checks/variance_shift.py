"""Dropout in front of batch norm, whose statistics are those of the noise."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.examination import MOVING, PRECISE, QUIET, Examination
from bnstudy.doctor.finding import Check, Finding


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
        fix="from torch import nn\n"
        "import bnstudy\n"
        "rates = {m: m.p for m in model.modules() if isinstance(m, nn.Dropout)}\n"
        "for dropout in rates:\n"
        "    dropout.p = 0.0\n"
        "bnstudy.recalibrate(model, train_batches, inplace=True)\n"
        "for dropout, p in rates.items():\n"
        "    dropout.p = p\n"
        "# in a new model: dropout behind the last batch norm",
        sure="measured: paired 95 % intervals; the same weights, images and batches",
        **cost.evidence(),
    )


CHECK = Check(
    "variance-shift",
    "dropout in front of batch norm: statistics without it win",
    "arXivTimes/arXivTimes#608",
    diagnose=_diagnose,
)
