"""Replicas of one model with statistics of their own."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.comparing import APART, Pair, apart
from bnstudy.doctor.finding import Check, Finding


def _compare(pair: Pair) -> Iterator[Finding]:
    if pair.relation not in (None, "replica") or (pair.relation is None and not pair.same_parameters):
        return
    for a, b in pair.layers:
        gap = apart(a, b)
        counters_tell = a.count is not None and a.count == b.count
        if gap > APART and (pair.relation == "replica" or counters_tell):
            yield CHECK.finding(
                "warning",
                a.name,
                f"the parameters are the same, and the statistics {gap:.2g} sd apart (counters {a.count}, "
                f"{b.count})",
                cause="Each device averages what it saw itself: with data split unevenly, or without "
                "SyncBatchNorm and "
                "the broadcast of buffers, what is saved is one device's. Unless meant (AdaBN).",
                fix="from torch import nn\n"
                "model = nn.SyncBatchNorm.convert_sync_batchnorm(model)\n"
                "# or, before saving: torch.distributed.broadcast(buffer, 0)",
                sure="likely: equal weights and counters, as only replicas have",
                gap=gap,
                count_a=a.count,
                count_b=b.count,
            )


CHECK = Check(
    "rank-mismatch",
    "replicas have different statistics",
    "facebookresearch/fvcore#152",
    compare=_compare,
)
