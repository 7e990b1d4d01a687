"""Faults between two states of a model: what ``compare`` should see."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bnstudy.doctor.faults.fault import Fault
from bnstudy.doctor.faults.lab import Case, Lab, norms


def _average_without_buffers(lab: Lab, decay: float) -> Case:
    """Average the weights (EMA) and leave the buffers as they were at the start."""
    model = lab.build()
    average = copy.deepcopy(model)

    def after(step: int, model: nn.Module) -> None:
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)

    model, report = lab.train(model, after=after)
    return lab.case(average, model.eval(), pair=(model, average, "average"), watched=report)


def _average_with_the_last(lab: Lab, decay: float) -> Case:
    """Average the weights and copy the buffers of the last model."""
    case = _average_without_buffers(lab, decay)
    live = case.pair[0] if case.pair is not None else None
    assert isinstance(live, nn.Module)
    for mean, now in zip(case.model.buffers(), live.buffers(), strict=True):
        mean.copy_(now)
    return case


def _replicas(lab: Lab, strength: float) -> Case:
    """Let two replicas see different images for the last steps, weights in step and statistics their own."""
    model = lab.healthy().train()
    other = copy.deepcopy(model)
    with torch.no_grad():
        for x, _ in lab.data.batches(32)[:20]:
            model(x)
            other((1 + strength) * x + strength)
    return lab.case(model, pair=(model, other.eval(), None))


def _old_buffers(lab: Lab, share: float) -> Case:
    """Restore the parameters of a later step and forget the buffers."""
    at = max(1, int(share * lab.steps))
    kept: dict[str, Tensor] = {}

    def after(step: int, model: nn.Module) -> None:
        if step == at:
            kept.update({name: value.clone() for name, value in model.state_dict().items()})

    model, report = lab.train(lab.build(), after=after)
    early, resumed = lab.build().eval(), lab.build()
    for other in (early, resumed):
        other.load_state_dict(kept)
    with torch.no_grad():
        for target, source in zip(resumed.parameters(), model.parameters(), strict=True):
            target.copy_(source)
    return lab.case(resumed, model.eval(), pair=(early, resumed, None), watched=report)


def _recalibration_undone(lab: Lab, number: float) -> Case:
    """Recalibrate with a momentum of 0, which moves nothing."""
    model = lab.healthy()
    other = copy.deepcopy(model).train()
    for layer in norms(other):
        layer.momentum = 0.0
    with torch.no_grad():
        for x, _ in lab.data.batches()[: int(number)]:
            other(x)
    return lab.case(other, model.eval(), pair=(model, other.eval(), "recalibrated"))


BETWEEN = [
    Fault("EMA without buffers", "old-statistics", "compare", (0.9, 0.95, 0.98), _average_without_buffers),
    Fault("EMA with the last buffers", "old-statistics", "compare", (0.9, 0.98), _average_with_the_last),
    Fault("replicas of their own", "rank-mismatch", "compare", (0.3, 0.6, 1.0), _replicas),
    Fault("resumed without buffers", "old-statistics", "compare", (0.5, 0.1, 0.02), _old_buffers),
    Fault("recalibrated with momentum 0", "old-statistics", "compare", (1, 4), _recalibration_undone),
]
