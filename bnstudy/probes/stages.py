"""The stages of a layer's value in a forward pass: normalised, scaled and shifted, activated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from bnstudy.norm.layer import BatchNorm
from bnstudy.probes.axes import Axes
from bnstudy.probes.calls import intercepted, version_of
from bnstudy.probes.units import sample_by_unit, values_of

_NORMALISE = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, BatchNorm)
# PyTorch's normalisations, with the names of their arguments.
_FUNCTIONS: dict[Any, tuple[str, ...]] = {
    function: tuple(inspect.signature(function).parameters)
    for function in (F.batch_norm, F.instance_norm, F.layer_norm, F.group_norm, F.rms_norm)
}
_FUNCTIONS |= {
    torch.batch_norm: ("input", "weight", "bias"),
    torch.instance_norm: ("input", "weight", "bias"),
    torch.layer_norm: _FUNCTIONS[F.layer_norm],
    torch.group_norm: _FUNCTIONS[F.group_norm],
    torch.rms_norm: _FUNCTIONS[F.rms_norm],
}
_LAST_AXES = (F.layer_norm, torch.layer_norm, F.rms_norm, torch.rms_norm)
# Names, since each has several homes: torch, torch.nn.functional and methods.
_ACTIVATIONS = frozenset(
    {
        "celu",
        "elu",
        "elu_",
        "gelu",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "leaky_relu_",
        "mish",
    }
    | {"prelu", "relu", "relu_", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh"}
)


class Stages(TorchFunctionMode):
    """Watches a forward pass; ``samples`` are (layer, stage, values by unit [U, n]), each at its first call.

    The stages are ``"normalised"``, ``"output"`` and ``"activated"``.
    """

    def __init__(self, model: nn.Module, chosen: frozenset[str], axes: Axes, size: int | None) -> None:
        super().__init__()
        self.samples: list[tuple[str, str, Tensor]] = []
        self._model = model
        self._axes = axes
        self._size = size
        self._names = {
            module: name
            for name, module in model.named_modules()
            if name in chosen
            and (isinstance(module, _NORMALISE) or next(module.parameters(recurse=False), None) is not None)
        }
        self._seen: set[tuple[str, str]] = set()
        self._calls: list[nn.Module] = []
        # The newest output of a layer, with its version: only as it came is it that layer's.
        self._newest: tuple[nn.Module, Tensor, int, int] | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the pass that runs in this context."""
        with intercepted(self._model, self._around), self:
            yield

    def _around(self, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._calls.append(module)
        try:
            if module not in self._names:
                return forward(*args, **kwargs)
            if isinstance(module, BatchNorm):
                return self._batch_norm(module, forward, *args, **kwargs)
            output = forward(*args, **kwargs)
        finally:
            self._calls.pop()
        if (self._names[module], "normalised") not in self._seen:
            self._note_output(module, output, _values(args, kwargs))
        return output

    def _batch_norm(self, module: BatchNorm, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        activation, module.activation = module.activation, None
        try:
            output = forward(*args, **kwargs)
        finally:
            module.activation = activation
        axis = self._note_output(module, output)
        if axis is not None:
            self._note_normalised(module, output, module.gamma, module.beta, axis, along=axis)
        if activation is None:
            return output
        output = activation(output)
        self._note(module, "activated", output, axis)
        return output

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Note what normalisations give, and what activation functions make of it."""
        del types
        kwargs = kwargs or {}
        newest, direct = self._newest, False
        if newest is not None and func.__name__ in _ACTIVATIONS:
            value = args[0] if args else kwargs.get("input")
            direct = value is newest[1] and version_of(newest[1]) == newest[2]
        result = func(*args, **kwargs)
        if direct and newest is not None:
            self._note(newest[0], "activated", result, newest[3])
        elif func in _FUNCTIONS and self._calls:
            given = {**dict(zip(_FUNCTIONS[func], args, strict=False)), **kwargs}
            self._normalised(self._calls[-1], func, given, result)
        return result

    def _normalised(self, module: nn.Module, func: Any, given: Mapping[str, Any], result: Tensor) -> None:
        scale, offset = given.get("weight"), given.get("bias")
        own = list(module._parameters.values())
        mine = all(any(p is q for q in (scale, offset)) for p in own if p is not None)
        if module not in self._names or not (mine and (own or isinstance(module, _NORMALISE))):
            return
        if func not in _LAST_AXES:
            axis = along = 1
        else:
            along = -len(given["normalized_shape"])
            axis = -1 if along == -1 else self._axes.of(self._names[module], module, result)
        self._note_output(module, result, axis=axis)
        self._note_normalised(module, result, scale, offset, axis, along=along)

    def _note_output(
        self, module: nn.Module, output: Any, other: Tensor | None = None, axis: int | None = None
    ) -> int | None:
        values = values_of(output)
        if values is None:
            return None
        if axis is None:
            axis = self._axes.of(self._names[module], module, values, other)
        self._note(module, "output", values, axis)
        if isinstance(output, Tensor):
            self._newest = (module, output, version_of(output), axis)
        return axis

    def _note_normalised(
        self,
        module: nn.Module,
        output: Tensor,
        scale: Tensor | None,
        offset: Tensor | None,
        axis: int,
        *,
        along: int,
    ) -> None:
        """Undo scale and offset, which lie along the axes from ``along``, on the sample alone."""
        place = (self._names[module], "normalised")
        values = values_of(output)
        if place in self._seen or values is None:
            return
        self._seen.add(place)
        sample = sample_by_unit(values, axis, self._size)
        offset, scale = (self._beside(p, values, axis, along) for p in (offset, scale))
        if offset is not None:
            sample = sample - offset
        if scale is not None:
            # Units of scale 0 have no normalised value.
            sample = (sample / scale)[(scale != 0).all(dim=1)]
        self.samples.append((*place, sample))

    def _beside(self, parameter: Tensor | None, values: Tensor, axis: int, along: int) -> Tensor | None:
        """Return the entries of a scale or offset that belong to the sample of ``values``."""
        if parameter is None:
            return None
        axes = values.dim() - (along % values.dim())
        if parameter.dim() == 1 and axes > 1:
            parameter = parameter.reshape(-1, *[1] * (axes - 1))
        if parameter.numel() == values.shape[axis]:
            return parameter.detach().reshape(-1, 1)
        return sample_by_unit(parameter.detach().expand_as(values), axis, self._size)

    def _note(self, module: nn.Module, stage: str, value: Any, axis: int | None) -> None:
        place = (self._names[module], stage)
        values = values_of(value)
        if values is None or axis is None or place in self._seen:
            return
        self._seen.add(place)
        self.samples.append((*place, sample_by_unit(values, axis, self._size)))


def _values(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    return values_of(args or tuple(kwargs.values()))
