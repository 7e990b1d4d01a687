"""A running variance below 0."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.layers import statistics
from bnstudy.doctor.remedies import RECALIBRATE
from bnstudy.doctor.scanning import Subject


def _scan(subject: Subject) -> Iterator[Finding]:
    for layer in subject.layers:
        found = statistics(layer)
        if found is None:
            continue
        negative = found[1] < 0
        if negative.any():
            channels = int(negative.sum())
            yield CHECK.finding(
                "error",
                layer.name,
                f"{channels} of {layer.channels} channels have a running variance below 0",
                cause="No batch has a negative variance: something else wrote it (a kernel's mistake, "
                "arithmetic on "
                "checkpoints such as task vectors, a noise added to all buffers). In eval() its root is a "
                "NaN.",
                fix=RECALIBRATE,
                channels=channels,
                lowest=float(found[1].min()),
                first_channel=int(negative.nonzero()[0]),
            )


CHECK = Check(
    "negative-variance",
    "a running variance is below 0",
    "pytorch/pytorch#106605",
    scan=_scan,
)
