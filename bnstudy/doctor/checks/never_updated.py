"""Statistics that are still those of a new layer."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.remedies import RECALIBRATE
from bnstudy.doctor.scanning import Subject


def _scan(subject: Subject) -> Iterator[Finding]:
    for layer in subject.layers:
        if not layer.initial:
            continue
        counter = "no counter" if layer.count is None else f"a counter of {layer.count}"
        seen = f"all means are 0 and all variances 1, with {counter}"
        if subject.trained:
            yield CHECK.finding(
                "error",
                layer.name,
                seen,
                cause="The model was trained and these statistics never moved: forgotten update "
                "operations, BN in eval "
                "mode from the start, momentum 0, or a checkpoint loaded without its buffers (strict=False). "
                "In eval() the layer doesn't normalise.",
                fix=RECALIBRATE,
                sure="certain that they are initial; that the model was trained shows in scales, offsets "
                "or counters",
                count=layer.count,
            )
        else:
            yield CHECK.finding(
                "note",
                layer.name,
                seen,
                cause="So is every layer of an untrained model, and nothing here shows training.",
                fix="# nothing, if the model is new; else\n" + RECALIBRATE,
                sure="certain that they are initial; whether the model was trained can't be told from it",
                count=layer.count,
            )


CHECK = Check(
    "never-updated",
    "means are all 0 and variances all 1",
    "tensorflow/tensorflow#11965",
    scan=_scan,
)
