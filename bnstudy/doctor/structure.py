"""What belongs to what in a watched model: hooks, compiled parts, entries, owners."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer


def hooks_of(model: nn.Module) -> set[tuple[int, str, int]]:
    """Return the forward hooks of all modules, to be compared."""
    kinds = ("_forward_hooks", "_forward_pre_hooks")
    return {(id(m), kind, key) for m in model.modules() for kind in kinds for key in getattr(m, kind)}


def compiled_of(model: nn.Module) -> set[nn.Module]:
    """Return the modules that run inside compiled code, by ``torch.compile`` or ``Module.compile``."""
    found: set[nn.Module] = set()
    for module in model.modules():
        inner = getattr(module, "_orig_mod", None)
        if isinstance(inner, nn.Module):
            found.update(inner.modules())
        elif getattr(module, "_compiled_call_impl", None) is not None:
            found.update(module.modules())
    return found


def entries_of(model: nn.Module, norms: set[nn.Module], compiled: set[nn.Module]) -> list[nn.Module]:
    """Return the modules to whose calls a forward may belong: those that hold batch norm and can be heard."""
    return [
        module
        for module in model.modules()
        if module not in norms
        and module not in compiled
        and any(m in norms or m in compiled for m in module.modules())
    ]


def owners_of(model: nn.Module, optimizers: list[Optimizer]) -> dict[nn.Module, frozenset[int]]:
    """Return, by module, which optimisers hold its parameters, or those of the nearest module around it."""
    held = {
        id(p): number
        for number, o in enumerate(optimizers)
        for group in o.param_groups
        for p in group["params"]
    }
    found: dict[nn.Module, frozenset[int]] = {}

    def visit(module: nn.Module, around: frozenset[int]) -> None:
        own = frozenset(held[id(p)] for p in module.parameters() if id(p) in held)
        found.setdefault(module, own or around)
        for child in module.children():
            visit(child, own or around)

    visit(model, frozenset(range(len(optimizers))))
    return found


def world_of(module: nn.Module) -> int:
    """Return over how many processes a layer takes its moments."""
    if not isinstance(module, nn.SyncBatchNorm) or not torch.distributed.is_initialized():
        return 1
    return torch.distributed.get_world_size(module.process_group)
