"""Proof that a call left a model, and the generators of random numbers, as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
)


class DoctorError(RuntimeError):
    """The doctor changed what it looked at: a mistake of the doctor's, worth a report."""


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Hash parameters, buffers, modes, hooks and random states before and after.

    Raises:
        DoctorError: something differs.
    """
    before = fingerprint(model)
    yield
    after = fingerprint(model)
    changed = sorted(what for what in before.keys() | after.keys() if before.get(what) != after.get(what))
    if changed:
        raise DoctorError(f"the doctor changed {', '.join(changed)}; please report this")


def fingerprint(model: nn.Module) -> dict[str, Any]:
    """Return what tells one state of a model, and of the generators, from another."""
    found: dict[str, Any] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        found[f"tensor {name}"] = (id(tensor), tensor.requires_grad, _digest(tensor))
    for name, module in model.named_modules():
        found[f"mode of {name or 'the model'}"] = module.training
        hooks = [tuple(getattr(module, kind, ())) for kind in _HOOKS]
        found[f"hooks of {name or 'the model'}"] = (hooks, "forward" in vars(module))
    found["random state of PyTorch"] = hash(torch.get_rng_state().numpy().tobytes())
    found["random state of Python"] = hash(random.getstate())
    numpy: Any = np.random.get_state()  # noqa: NPY002  the global state is what a model may draw from
    found["random state of NumPy"] = (hash(numpy[1].tobytes()), numpy[2:])
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states = torch.cuda.get_rng_state_all()
        found["random state of CUDA"] = [hash(s.numpy().tobytes()) for s in states]
    return found


def _digest(tensor: Tensor) -> Any:
    """Return the wrapped sum of a tensor's bits: one pass over the memory, and any one change shows."""
    if is_lazy(tensor):
        return None
    value = tensor.detach()
    if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided or value.is_meta:
        return tensor._version
    bits = (value if value.is_contiguous() else value.contiguous()).reshape(-1).view(torch.uint8)
    words = bits.numel() // 8 * 8
    digest = bits[words:].sum(dtype=torch.int64)
    # A view that doesn't start at a multiple of eight bytes can't be read as words.
    aligned = value.storage_offset() * value.element_size() % 8 == 0
    body = bits[:words].view(torch.int64) if aligned else bits[:words]
    return int(digest + body.sum(dtype=torch.int64))
