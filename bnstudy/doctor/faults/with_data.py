"""Faults that only data show: what ``diagnose`` should see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnstudy import recalibrate
from bnstudy.doctor.faults.fault import Fault
from bnstudy.doctor.faults.lab import Case, Lab, cut, norms, set_momentum


def _cold(lab: Lab, momentum: float) -> Case:
    model, report = lab.train(set_momentum(lab.build(), momentum))
    return lab.case(model, watched=report)


def _stale(lab: Lab, share: float) -> Case:
    """Resume from a checkpoint of weights with the statistics of an earlier step."""
    kept: dict[str, Tensor] = {}
    at = max(1, int(share * lab.steps))

    def after(step: int, model: nn.Module) -> None:
        if step == at:
            kept.update({n: b.clone() for n, b in model.named_buffers()})

    model, _ = lab.train(lab.build(), after=after)
    for name, buffer in model.named_buffers():
        if not name.endswith("num_batches_tracked"):
            buffer.copy_(kept[name])
    return lab.case(model)


def _foreign(lab: Lab, strength: float) -> Case:
    """Take the statistics from images of another brightness and contrast."""
    model = lab.healthy()
    set_momentum(model, None)
    for layer in norms(model):
        layer.reset_running_stats()
    model.train()
    with torch.no_grad():
        for x, _ in lab.data.batches():
            model((1 - 0.6 * strength) * x + strength)
    set_momentum(model, 0.1)
    return lab.case(model)


def _other_evaluation(lab: Lab, strength: float) -> Case:
    """Evaluate on images of another brightness and contrast than those of the training."""
    case = lab.case(lab.healthy())
    case.test = [((1 - 0.6 * strength) * x + strength, y) for x, y in case.test]
    return case


class _BatchesOwn(nn.Module):
    """A batch norm written by hand, which forgets that there is an eval()."""

    def __init__(self, layer: nn.Module, share: float) -> None:
        super().__init__()
        self.layer, self.share = layer, share

    def forward(self, x: Tensor) -> Tensor:
        layer: Any = self.layer
        own: Tensor = F.batch_norm(x, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)
        mixed: Tensor = self.share * own + (1 - self.share) * layer(x)
        return mixed


def _leaking(lab: Lab, share: float) -> Case:
    return _replaced(lab, lambda layer: _BatchesOwn(layer, share))


def _stays_in_training(lab: Lab, number: float) -> Case:
    """Keep some layers in training mode whatever is called."""

    def replace(layer: nn.Module) -> nn.Module:
        def train(mode: bool = True) -> nn.Module:
            del mode
            layer.training = True
            return layer

        layer.train = train  # type: ignore[method-assign]
        return layer

    return _replaced(lab, replace, int(number))


def _replaced(lab: Lab, replace: Callable[[nn.Module], nn.Module], number: int = 1) -> Case:
    model = lab.healthy()
    for name, layer in list(model.named_modules()):
        if layer in norms(model) and number > 0:
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], replace(layer))
            number -= 1
    return lab.case(model)


def _dropout_in_front(lab: Lab, p: float) -> Case:
    model, report = lab.train(lab.build(dropout=p))
    # What it would be with statistics taken without the dropout.
    return lab.case(model, recalibrate(model, lab.data.batches()).eval(), watched=report)


def _overfitted(lab: Lab, images: float) -> Case:
    """Train on few images."""
    few = int(images)
    x, y = lab.data.x_train[:few], lab.data.y_train[:few]
    generator = torch.Generator().manual_seed(lab.seed)

    def batches() -> Any:
        while True:
            for part in torch.split(torch.randperm(few, generator=generator), 32):
                if len(part) == 32:
                    yield x[part], y[part]

    model, report = lab.train(lab.build(), batches=batches())
    case = lab.case(model, watched=report)
    case.train = cut(x, y, 64)
    return case


def _drifted(lab: Lab, size: float) -> Case:
    """Move the means of the last layer by a fraction of a standard deviation."""
    model = lab.healthy()
    layer = norms(model)[-1]
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.add_(size * layer.running_var.sqrt())
    return lab.case(model)


WITH_DATA = [
    Fault("too few updates", "statistics-harm", "diagnose", (0.01, 0.003, 0.001), _cold),
    Fault("statistics of an earlier step", "statistics-harm", "diagnose", (0.3, 0.1, 0.02), _stale),
    Fault("statistics of other images", "statistics-harm", "diagnose", (0.5, 1.0, 1.5), _foreign),
    Fault("evaluated on other images", "statistics-harm", "diagnose", (0.5, 1.0, 1.5), _other_evaluation),
    Fault("a layer that ignores eval", "batch-leak", "diagnose", (1, 2), _stays_in_training),
    Fault("batch norm by hand", "batch-leak", "diagnose", (0.1, 0.5, 1.0), _leaking),
    Fault("dropout in front", "variance-shift", "diagnose", (0.3, 0.5, 0.7), _dropout_in_front),
    Fault("overfitting", "not-batch-norm", "diagnose", (64, 128), _overfitted),
    Fault("a small shift", "drift", "diagnose", (0.12, 0.15, 0.2), _drifted),
]
