"""What the modules of a model hold of one another beside ``_modules``, which a probe's copies can't follow.

A pass of a probe swaps parameters, and skips calls by putting back what they left behind. Neither knows of a
second way to a parameter's memory, or from one module to another: an attribute, a hook, a list of siblings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from bnstudy.probes.state import _Walk


@dataclass(frozen=True)
class Suspect:
    """Why calls of a module can't be taken from a recording.

    ``module`` is the one, or with ``target`` any that has ``module`` below it and ``target`` outside; without
    a ``module`` it is all.
    """

    reason: str
    module: nn.Module | None = None
    target: nn.Module | None = None

    def speaks_against(self, skipped: nn.Module) -> bool:
        """Say whether calls of ``skipped`` have to run."""
        if self.module is None:
            return True
        if self.target is None:
            return self.module is skipped
        inside = set(skipped.modules())
        return self.module in inside and self.target not in inside


def held_modules(model: nn.Module) -> list[Suspect]:
    """Return which modules of ``model`` lead to one that isn't below them, and through what."""
    names = {module: name for name, module in model.named_modules()}
    found: list[Suspect] = []
    for module, name in names.items():
        if module is model:
            continue  # all others are below it
        outside = {id(other): other for other in names.keys() - set(module.modules())}

        def note(
            path: str,
            value: Any,
            module: nn.Module = module,
            name: str = name,
            outside: dict[int, nn.Module] = outside,
        ) -> bool:
            if id(value) not in outside:
                return False
            way = path.partition(".")[2]
            reason = f"{name!r} holds {names[value] or 'the model'!r} through its {way}"
            found.append(Suspect(reason, module, value))
            return True

        _Search(module, note, only=[module])
    return found


def shared_memory(model: nn.Module) -> list[str]:
    """Return, in words, which tensors lie in the memory of a parameter that is trained, and aren't it."""
    spans = [
        (name, span)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (span := _span(parameter)) is not None
    ]
    found: list[str] = []

    def note(path: str, value: Any) -> bool:
        span = _span(value) if isinstance(value, Tensor) else None
        if span is not None:
            found.extend(
                f"{path} lies in the memory of parameter {name!r}"
                for name, (start, end) in spans
                if start < span[1] and span[0] < end
            )
        return False

    _Search(model, note)
    return found


def part_old_spectral_norm(model: nn.Module) -> None:
    """Give ``torch.nn.utils.spectral_norm`` a weight in memory of its own.

    Up to the first forward it is the parameter's ``data``; each forward makes another before it is used.
    """
    for module in model.modules():
        for hook in module._forward_pre_hooks.values():
            if type(hook) is SpectralNorm and isinstance(weight := vars(module).get(hook.name), Tensor):
                span, own = _span(weight), _span(getattr(module, f"{hook.name}_orig"))
                if span is not None and span == own:
                    vars(module)[hook.name] = weight.detach().clone()


class _Search(_Walk):
    """Shows ``note(path, value)`` all that ``State`` would keep, and copies nothing.

    Where ``note`` returns True, what lies behind the value isn't looked at.
    """

    def __init__(
        self,
        module: nn.Module,
        note: Callable[[str, Any], bool],
        *,
        only: Iterable[nn.Module] | None = None,
    ) -> None:
        self._note = note
        super().__init__(module, only)

    def _visit(self, name: str, value: Any) -> None:
        if id(value) in self._seen:
            return
        if self._note(name, value) or isinstance(value, (Tensor, np.ndarray)):
            self._seen.add(id(value))
            self._alive.append(value)
            return
        super()._visit(name, value)


def _span(tensor: Tensor) -> tuple[int, int] | None:
    """Return the first address of a tensor's values and the one behind the last, None where it has none."""
    if tensor.layout != torch.strided or tensor.is_meta or not tensor.numel():
        return None
    try:
        start = tensor.data_ptr()
    except RuntimeError:  # a tensor without memory of its own, as in a transform
        return None
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size()
