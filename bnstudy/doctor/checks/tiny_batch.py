"""Batches too small to normalise by."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import FEW_IMAGES, FEW_VALUES, History


def _watch(history: History) -> Iterator[Finding]:
    for record in history.layers:
        if not record.trained:
            continue
        images, values = record.few_images * 2 >= record.trained, record.few_values * 2 >= record.trained
        if not (images or values):
            continue
        least = min(record.values, default=0)
        what = f"{record.usual_images} images a forward, fewer than {FEW_IMAGES}"
        if not images:
            what = f"{least} values a channel, fewer than {FEW_VALUES}"
        yield CHECK.finding(
            "warning",
            record.name,
            f"{what}, at {max(record.few_images, record.few_values)} of {record.trained} steps",
            cause="Mean and variance of so few numbers are mostly noise: training sees a different "
            "function at each "
            "step, and eval() another one. Accumulating gradients doesn't help; SyncBatchNorm does.",
            fix="from torch import nn\n"
            "model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # on several devices\n"
            "# else a larger batch, frozen statistics (eval) or a group norm",
            sure="certain: the batches' shapes",
            images=record.usual_images,
            values=least,
        )


CHECK = Check(
    "tiny-batch",
    "fewer than 4 images a forward, or than 32 values a channel",
    "pytorch/pytorch#4534",
    watch=_watch,
)
