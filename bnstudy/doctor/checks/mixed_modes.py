"""Batch-norm layers in different modes."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.scanning import Subject


def _scan(subject: Subject) -> Iterator[Finding]:
    layers = [layer for layer in subject.layers if layer.module is not None and layer.mean is not None]
    resting = [layer for layer in layers if not layer.training]
    if not resting or len(resting) == len(layers):
        return
    trainable = [layer for layer in resting if layer.trainable]
    named = (trainable or resting)[0].name
    yield CHECK.finding(
        "warning" if trainable else "note",
        None,
        f"{len(resting)} of {len(layers)} layers are in eval mode ({named} is one), the others in "
        f"training mode",
        cause="In eval mode scale and offset of a layer learn against statistics that stand still; in "
        "training mode "
        "an answer depends on its batch. One call to train() or eval() went to a part, or not through.",
        fix="model.eval()  # to use it; model.train() to train it, then freeze on purpose:\n"
        "# layer.eval(); layer.requires_grad_(False)",
        eval_mode=len(resting),
        training_mode=len(layers) - len(resting),
        trainable_in_eval=len(trainable),
    )


CHECK = Check(
    "mixed-modes",
    "batch-norm layers are in different modes",
    "pytorch/pytorch#115715",
    scan=_scan,
)
