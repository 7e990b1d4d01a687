"""Momentum 0: the averages can't move."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History
from bnstudy.doctor.layers import Layer
from bnstudy.doctor.remedies import RECALIBRATE
from bnstudy.doctor.remedies import layer as get
from bnstudy.doctor.scanning import Subject


def _scan(subject: Subject) -> Iterator[Finding]:
    for layer in subject.layers:
        if layer.momentum != 0 or layer.mean is None:
            continue
        yield finding(layer, layer.initial and subject.trained)


def _watch(history: History) -> Iterator[Finding]:
    for record in history.layers:
        if record.trained and record.now.momentum == 0 and record.now.mean is not None:
            yield finding(record.now, record.now.initial)


def finding(layer: Layer, harmful: bool) -> Finding:
    """Return what is said of a layer whose momentum is 0."""
    return CHECK.finding(
        "warning" if harmful else "note",
        layer.name,
        "momentum is 0" + (", and the statistics are initial" if layer.initial else ""),
        cause="PyTorch's momentum is the weight of the new batch (1 - decay): with 0 the statistics "
        "stay what "
        "they are. Meant as a freeze it also needs eval(); left over from a recalibration it undoes "
        "the next.",
        fix=f"{get(layer.name)}\nlayer.momentum = 0.1  # PyTorch's default\n{RECALIBRATE}",
        momentum=0.0,
    )


CHECK = Check(
    "momentum-zero",
    "momentum is 0: statistics never move",
    "Lightning-AI/pytorch-lightning#14866",
    scan=_scan,
    watch=_watch,
)
