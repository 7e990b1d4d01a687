"""Statistics that are off without costing anything that can be measured."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.examination import MOVING, PRECISE, Examination
from bnstudy.doctor.finding import Check, Finding

OFF = 0.1  # standard deviations; healthy averages of decay 0.9 lie below


def _diagnose(found: Examination) -> Iterator[Finding]:
    cost = found.cost(MOVING, PRECISE)
    name, gap = found.widest
    if cost is None or cost.verdict == "harm" or gap <= OFF:
        return
    known = "costs nothing measurable" if cost.verdict == "no harm" else "isn't known to cost anything"
    yield CHECK.finding(
        "note",
        name,
        f"the statistics are {gap:.2g} sd off, and that {known}: {cost.in_words()}",
        cause="Weights move and averages follow late; networks stand a lot of it. Watch it where the "
        "learning rate "
        "is large or the momentum small.",
        fix="# nothing; a recalibration does no harm:\n"
        "import bnstudy\nbnstudy.recalibrate(model, train_batches, inplace=True)",
        sure="measured: the gap on the training batches, the cost as a paired 95 % interval",
        gap=gap,
        **cost.evidence(),
    )


CHECK = Check(
    "drift",
    "statistics are off, and it costs nothing measurable",
    "mosaicml/composer#624",
    diagnose=_diagnose,
)
