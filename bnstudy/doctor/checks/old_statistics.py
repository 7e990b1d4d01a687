"""Statistics that belong to other weights."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.comparing import APART, Pair, apart, equal
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.layers import Layer
from bnstudy.doctor.remedies import RECALIBRATE

UNLESS = "unless meant (AdaBN, fine-tuning with frozen statistics, a target network)"
EXACT = 1e-3  # standard deviations, what a cast may change


def _compare(pair: Pair) -> Iterator[Finding]:
    for a, b in pair.layers:
        gap = apart(a, b)
        seen = _seen(pair, a, b, gap)
        if seen is not None:
            yield CHECK.finding(
                "warning",
                a.name,
                seen,
                cause=f"Statistics describe what these weights make of the data, {UNLESS}. Averages of "
                f"weights and "
                "of clients leave buffers out, or take them from one model; copies and resumes forget them.",
                fix=RECALIBRATE.replace("model", "b"),
                sure="likely: whether it is meant can't be seen, and what it costs only diagnose() tells",
                gap=gap,
                count_a=a.count,
                count_b=b.count,
            )


def _seen(pair: Pair, a: Layer, b: Layer, gap: float) -> str | None:
    same = equal(a, b)
    if pair.relation is None:
        if pair.same_parameters is False and same:
            return "the parameters differ, and the statistics are the same, bit for bit"
        counters_tell = a.count is not None and a.count == b.count
        if pair.same_parameters and gap > APART and not counters_tell:
            return (
                f"the parameters are the same, and the statistics {gap:.2g} sd apart (counters "
                f"{a.count}, {b.count})"
            )
    elif pair.relation == "average":
        if pair.same_parameters is False and same:
            return "the average has the statistics of the model it averages, bit for bit"
        if b.initial and not a.initial:
            return "the average has the statistics of a new layer"
    elif pair.relation in ("copy", "export"):
        if gap > EXACT:
            return f"the {pair.relation}'s statistics are {gap:.2g} sd apart"
    elif pair.relation == "recalibrated" and same:
        return "the recalibration changed nothing, bit for bit"
    return None


CHECK = Check(
    "old-statistics",
    "statistics belong to other weights",
    "odegeasslbc/FastGAN-pytorch#4",
    compare=_compare,
)
