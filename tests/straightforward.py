"""Internal covariate shift the straightforward way: one full pass for G, one more for every layer's G'.

The twin that ``InternalCovariateShift`` is compared with, in values (tests) and in time
(``benchmarks/probes.py``). It shares no code with it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Straightforward:
    """Take a copy before the step; ``shift(model, ...)`` after it gives a table by layer."""

    def __init__(self, model: nn.Module) -> None:
        self.before = copy.deepcopy(model)
        self.random = torch.get_rng_state()

    def shift(
        self,
        model: nn.Module,
        loss_fn: Callable[[Any, Any], Tensor],
        x: Any,
        y: Any,
        layers: dict[str, list[str]] | None = None,
    ) -> dict[str, dict[str, float]]:
        """Return {layer: {quantity: value}}; ``layers`` are the parameters by layer, where they are known."""
        ended = torch.get_rng_state()
        layers = layers or execution_order(copy.deepcopy(self.before), x)
        new = dict(model.named_parameters())
        gradients = self._gradients({}, loss_fn, x, y)
        table = {}
        updated: dict[str, Tensor] = {}
        for layer, held in layers.items():
            names = [n for n in held if n in gradients]
            if names:
                shifted = self._gradients(updated, loss_fn, x, y)
                g = torch.cat([gradients[n].reshape(-1) for n in names])
                h = torch.cat([shifted[n].reshape(-1) for n in names])
                table[layer] = {
                    "ics": (g - h).norm().item(),
                    "ics_relative": ((g - h).norm() / g.norm()).item(),
                    "cosine": nn.functional.cosine_similarity(g, h, dim=0, eps=1e-300).item(),
                }
            updated |= {n: new[n] for n in held}
        torch.set_rng_state(ended)
        return table

    def _gradients(
        self, updated: dict[str, Tensor], loss_fn: Callable[[Any, Any], Tensor], x: Any, y: Any
    ) -> dict[str, Tensor]:
        net = copy.deepcopy(self.before)
        net.zero_grad()
        with torch.no_grad():
            for name, value in updated.items():
                net.get_parameter(name).copy_(value)
        torch.set_rng_state(self.random)
        loss_fn(net(x), y).backward()
        return {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


def execution_order(net: nn.Module, x: Any) -> dict[str, list[str]]:
    """Return the parameters of each layer, layers in order of first call.

    A layer that is never called itself follows its parent; shared parameters go to the first holder.
    """
    names = {module: name for name, module in net.named_modules()}
    called: list[str] = []

    def note(module: nn.Module, args: Any) -> None:
        if names[module] not in called:
            called.append(names[module])

    handles = [module.register_forward_pre_hook(note) for module in names]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    order = []
    for name in called:
        order.append(name)
        inside = net.get_submodule(name)
        order += [names[child] for child in inside.children() if names[child] not in called]
    claimed: set[int] = set()
    held: dict[str, list[str]] = {}
    full = {id(p): n for n, p in net.named_parameters()}
    for name in order:
        own = [p for p in net.get_submodule(name).parameters(recurse=False) if id(p) not in claimed]
        claimed |= {id(p) for p in own}
        if own:
            held[name] = [full[id(p)] for p in own]
    return held
