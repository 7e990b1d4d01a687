"""A layer whose scale and offset are frozen while its statistics move on."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History
from bnstudy.doctor.layers import Layer
from bnstudy.doctor.scanning import Subject
from bnstudy.doctor.surroundings import in_front

CAUSE = (
    "Freezing the parameters leaves the statistics: every forward in training mode moves them, so that the "
    "frozen part changes all the same. model.train() undoes an earlier eval() of a part."
)
FIX = (
    "from torch import nn\n"
    "for layer in model.modules():  # after every model.train()\n"
    "    if isinstance(layer, nn.modules.batchnorm._BatchNorm) and not any(\n"
    "        p.requires_grad for p in layer.parameters()\n"
    "    ):\n"
    "        layer.eval()"
)


def _scan(subject: Subject) -> Iterator[Finding]:
    if subject.model is None:
        return
    front = in_front(subject.model)
    for layer in subject.layers:
        module = layer.module
        if module is None or module not in front or not layer.training or layer.mean is None:
            continue
        # Constant ones and zeros are how a layer without scale or offset is written.
        if layer.trainable or not _learnt(layer):
            continue
        if any(parameter.requires_grad for parameter in front[module][1].parameters(recurse=False)):
            yield CHECK.finding(
                "warning",
                layer.name,
                f"scale and offset are frozen, the layer is in training mode, and {front[module][0]} in "
                f"front learns",
                cause=CAUSE,
                fix=FIX,
                sure="likely: momentum encoders and alternating GAN steps look alike; watch() tells them "
                "apart",
                channels=layer.channels,
            )


def _watch(history: History) -> Iterator[Finding]:
    if not history.steps or not history.others_learnt:
        return
    for record in history.layers:
        # A momentum encoder's weights move, and a discriminator's are free at every other step.
        if record.affine and record.steps and not record.unfrozen and record.statistics_moved:
            if record.affine_moved:
                continue
            yield CHECK.finding(
                "warning",
                record.name,
                f"scale and offset were frozen at all {record.steps} steps, and the statistics moved",
                cause=CAUSE,
                fix=FIX,
                sure="certain: parameters and statistics at the start and the end of the watch",
                steps=record.steps,
            )


def _learnt(layer: Layer) -> bool:
    def constant(tensor: Tensor | None) -> bool:
        return tensor is None or bool((tensor == tensor.flatten()[0]).all())

    return not (constant(layer.weight) and constant(layer.bias))


CHECK = Check(
    "frozen-yet-updating",
    "scale and offset are frozen, and the statistics move",
    "pytorch/pytorch#86590",
    scan=_scan,
    watch=_watch,
)
