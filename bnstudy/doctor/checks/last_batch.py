"""A last batch much smaller than the others, which weighs as much."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History

SHARE = 4  # a batch this many times as small as the usual one


def _watch(history: History) -> Iterator[Finding]:
    for record in history.layers:
        usual, smallest = record.usual_images, min(record.images, default=0)
        momentum = record.now.momentum
        if momentum and record.now.mean is not None and 0 < smallest * SHARE <= usual:
            yield CHECK.finding(
                "note",
                None,
                f"batches of {usual} images, and one of {smallest}",
                cause=f"A moving average gives each batch the same weight, so that those {smallest} "
                f"images have "
                f"{momentum:g} of the statistics, just before the validation.",
                fix="# DataLoader(..., drop_last=True) for training",
                sure="certain: the batches' shapes",
                usual=usual,
                smallest=smallest,
            )
            return


CHECK = Check(
    "last-batch",
    "a small last batch, with momentum",
    "fastai/fastai#1095",
    watch=_watch,
)
