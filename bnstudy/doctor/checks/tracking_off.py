"""Statistics switched off in a layer that still has them."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.remedies import layer as get
from bnstudy.doctor.scanning import Subject


def _scan(subject: Subject) -> Iterator[Finding]:
    for layer in subject.layers:
        if layer.mean is not None and getattr(layer.module, "track_running_stats", True) is False:
            yield CHECK.finding(
                "warning",
                layer.name,
                "track_running_stats is False, and there are running statistics",
                cause="Set after the layer was made, the flag stops the updates and nothing else: eval() "
                "still "
                "normalises by the buffers as they were on that day.",
                fix=f"{get(layer.name)}\nlayer.track_running_stats = True  # and then\n"
                "import bnstudy\nbnstudy.recalibrate(model, train_batches, inplace=True)",
                count=layer.count,
            )


CHECK = Check(
    "tracking-off",
    "track_running_stats is False with buffers left",
    "Lightning-AI/pytorch-lightning#15062",
    scan=_scan,
)
