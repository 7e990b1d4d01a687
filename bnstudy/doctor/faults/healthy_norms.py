"""Healthy models with other norms than PyTorch's batch norm: none, group norm, and this package's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bnstudy.doctor.faults.lab import Case, Lab, cross_entropy, norms
from bnstudy.norm import BatchNorm, apply_updates, convert, update_pass


def other_norm(lab: Lab, make: Any) -> Case:
    """Group or layer norm in place of every batch norm."""
    model = lab.build()
    for name, layer in list(model.named_modules()):
        if layer in norms(model):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], make(layer.num_features))

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        # PyTorch 2.12's group norm writes to a null pointer where its input needs no gradient.
        return cross_entropy(model, x.clone().requires_grad_(), y)

    model, report = lab.train(model, rate=0.02, loss=loss)
    return lab.case(model, watched=report, state=dict(model.state_dict()))


def ours(lab: Lab, updates: str = "in_place", renorm: bool = False) -> Case:
    """The package's own layer, by each schedule of its updates, and with batch renormalization."""
    model = lab.build()
    if renorm:
        for name, layer in list(model.named_modules()):
            if layer in norms(model):
                parent = model.get_submodule(name.rpartition(".")[0])
                new = BatchNorm(layer.num_features, decay=0.9, scale=True, renorm=True, renorm_decay=0.9)
                setattr(parent, name.rpartition(".")[2], new)
    else:
        model = convert(model, updates=updates)

    def after(step: int, model: nn.Module) -> None:
        if updates == "with_step":
            apply_updates(model)
        elif updates == "after_step":
            with torch.no_grad(), update_pass(model):
                model(lab.data.x_train[32 * (step % 20) : 32 * (step % 20) + 32])

    model, report = lab.train(model, after=after)
    return lab.case(model, watched=report)


def converted_then_never(lab: Lab) -> Case:
    """A trained network converted to layers that aren't to update, and used."""
    return lab.case(convert(lab.healthy(), updates="never"))
