"""Faults in a trained model's state: what ``scan`` should see."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bnstudy.doctor.faults.fault import Fault
from bnstudy.doctor.faults.lab import Case, Lab, norms, set_momentum


def _nan(lab: Lab, channels: float) -> Case:
    model = lab.healthy()
    layer = norms(model)[-1]
    assert layer.running_var is not None
    layer.running_var[: max(1, int(channels * layer.num_features))] = torch.nan
    return lab.case(model)


def _negative(lab: Lab, size: float) -> Case:
    model = lab.healthy()
    layer = norms(model)[0]
    assert layer.running_var is not None
    layer.running_var[0] = -size
    return lab.case(model)


def _half(lab: Lab, beyond: float) -> Case:
    model = lab.healthy()
    layer = norms(model)[0]
    assert layer.running_var is not None
    layer.running_var[0] = beyond
    return lab.case(model.half(), diagnosable=False)


def _without_buffers(lab: Lab, share: float) -> Case:
    model = lab.healthy()
    state = dict(model.state_dict())
    kept = [name for name, layer in model.named_modules() if layer in norms(model)]
    for name in kept[: max(1, round(share * len(kept)))]:
        for buffer in ("running_mean", "running_var", "num_batches_tracked"):
            del state[f"{name}.{buffer}"]
    return lab.case(model, state=state, pair=(model, state, "copy"), diagnosable=False)


def _loaded_without(lab: Lab, share: float) -> Case:
    model = lab.healthy()
    layers = norms(model)
    for layer in layers[: max(1, round(share * len(layers)))]:
        layer.reset_running_stats()
    return lab.case(model)


def _tracking_off(lab: Lab, share: float) -> Case:
    model = lab.build()
    change = int(lab.steps * share)

    def before(step: int, model: Any) -> None:
        if step == change:
            for layer in norms(model):
                layer.track_running_stats = False

    model, report = lab.train(model, before=before)
    return lab.case(model, watched=report)


def _mixed(lab: Lab, share: float) -> Case:
    model = lab.healthy().train()
    layers = norms(model)
    for layer in layers[: max(1, round(share * (len(layers) - 1)))]:
        layer.eval()
    case = lab.case(lab.healthy())
    case.model = model
    return case


def _momentum_zero(lab: Lab, share: float) -> Case:
    model = lab.build()
    change = int(lab.steps * share)

    def before(step: int, model: Any) -> None:
        if step == change:
            set_momentum(model, 0.0)

    model, report = lab.train(model, before=before)
    return lab.case(model, watched=report)


def _epsilon(lab: Lab, epsilon: float) -> Case:
    model = lab.healthy()
    for layer in norms(model):
        layer.eps = epsilon
    return lab.case(model)


def _bias(lab: Lab, share: float) -> Case:

    model = lab.build()
    replaced = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.bias is None]
    replaced += [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.bias is None]
    for _, layer in replaced[: max(1, round(share * len(replaced)))]:
        width = layer.weight.shape[0]
        layer.bias = nn.Parameter(torch.zeros(width))
    model, report = lab.train(model)
    return lab.case(model, watched=report)


AT_REST = [
    Fault("NaN in a variance", "non-finite", "scan", (0.0, 0.25, 1.0), _nan),
    Fault("a variance below 0", "negative-variance", "scan", (1e-3, 0.1, 10.0), _negative),
    Fault("variance beyond float16", "half-overflow", "scan", (7e4, 1e5, 1e6), _half),
    Fault("checkpoint without buffers", "missing-buffers", "compare", (0.0, 0.5, 1.0), _without_buffers),
    Fault("loaded without buffers", "never-updated", "scan", (0.0, 0.5, 1.0), _loaded_without),
    Fault("tracking switched off", "tracking-off", "scan", (0.05, 0.25, 0.5), _tracking_off),
    Fault("layers in two modes", "mixed-modes", "scan", (0.0, 0.5, 1.0), _mixed),
    Fault("momentum 0", "momentum-zero", "watch", (0.0, 0.1, 0.5), _momentum_zero),
    Fault("epsilon too large", "epsilon-unusual", "scan", (1e-2, 0.1, 1.0), _epsilon),
    Fault("bias in front", "redundant-bias", "watch", (0.0, 0.5, 1.0), _bias),
]
