"""A running statistic that float16 can't hold, where the model is float16."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.layers import statistics
from bnstudy.doctor.scanning import Subject

LARGEST = torch.finfo(torch.float16).max


def _scan(subject: Subject) -> Iterator[Finding]:
    if not subject.half:
        return
    for layer in subject.layers:
        found = statistics(layer)
        if found is None or layer.mean is None:
            continue
        values = torch.cat(found)
        # What was cast already is infinite now; a NaN is another matter.
        beyond = values.isinf() if layer.mean.dtype == torch.float16 else values.abs() > LARGEST
        if beyond.any():
            yield CHECK.finding(
                "error",
                layer.name,
                f"{int(beyond.sum())} running statistics lie beyond {LARGEST:g}, float16's largest number",
                cause="The model's weights are float16, and there such a variance is infinite: the "
                "channel's output "
                "is its offset, whatever comes in. bfloat16 has the range of float32.",
                fix="import torch\nmodel = model.to(torch.bfloat16)  # from the float32 checkpoint; or "
                ".float()",
                values=int(beyond.sum()),
                largest=float(values.abs().max()),
            )


CHECK = Check(
    "half-overflow",
    "a running statistic is outside float16's range in a float16 model",
    "apple/coreai-torch#54",
    scan=_scan,
)
