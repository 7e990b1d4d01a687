"""A running statistic is NaN or infinite."""

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
        broken = ~(found[0].isfinite() & found[1].isfinite())
        if broken.any():
            channels = int(broken.sum())
            yield CHECK.finding(
                "error",
                layer.name,
                f"{channels} of {layer.channels} channels have a running statistic that is NaN or infinite",
                cause="One batch with a NaN or an overflow is enough: a moving average keeps it for ever, "
                "also "
                "where the loss scaler skipped that step. In eval() the channels, and all behind them, "
                "are lost.",
                fix=RECALIBRATE,
                channels=channels,
                first_channel=int(broken.nonzero()[0]),
            )


CHECK = Check(
    "non-finite",
    "a running statistic is NaN or infinite",
    "pytorch/pytorch#1206",
    scan=_scan,
)
