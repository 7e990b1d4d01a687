"""Between ``BatchNorm`` and PyTorch's own layers, a layer or a whole model at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, overload

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.norm.layer import BatchNorm
from bnstudy.norm.momentum import decay_from_momentum, momentum_from_decay

TORCH_LAYERS: dict[int, type[_BatchNorm]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
OVERRIDES = ("decay", "epsilon", "updates", "fused")

# How torch.jit names what it made of a layer.
_SCRIPTED = frozenset(cls.__name__ for cls in (BatchNorm, nn.SyncBatchNorm, *TORCH_LAYERS.values()))
_COUNTER = "a counter, torch.tensor(0)"

# What every module has, and what PyTorch's batch-norm layers have besides.
_MODULE = frozenset(vars(nn.Module()))
_OPTIONS = ("num_features", "eps", "momentum", "affine", "track_running_stats")

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Conversion:
    """What ``convert`` did: ``converted`` layers by name, and those ``left`` as they are, with the reason."""

    converted: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return one line, and one more for each layer that was left."""
        total = len(self.converted) + len(self.left)
        lines = [f"{len(self.converted)} of {total} batch-norm layers of PyTorch are converted"]
        return "\n".join([*lines, *(f"  left: {name!r}, {why}" for name, why in self.left.items())])


def convert(
    model: Model,
    *,
    strict: bool = False,
    report: Callable[[Conversion], object] | None = None,
    **overrides: Any,
) -> Model:
    """Make a ``BatchNorm`` of every ``nn.BatchNorm1d/2d/3d`` in ``model``, in place, and return the model.

    The layers stay the objects that they are, as do their parameters and buffers: optimisers, hooks,
    whatever else refers to them, and checkpoints in PyTorch's names go on. ``to_torch`` is the way back.

    Args:
        model: any module, or such a layer itself.
        strict: raise ``ValueError`` where a batch-norm layer would be left as it is: ``SyncBatchNorm``, a
            lazy layer that has seen no batch, another subclass, a layer whose ``forward`` was replaced, one
            with ``eps`` 0 or without ``num_batches_tracked``, a scripted one.
        report: called with the ``Conversion``; ``report=print`` tells what was converted and what left.
            Without it a ``UserWarning`` names what was left.
        overrides: set on every new layer: any of ``decay``, ``epsilon``, ``updates``, ``fused``.

    Raises ``ValueError`` for overrides that a layer can't have, before anything is changed.
    """
    unknown = sorted(set(overrides) - set(OVERRIDES))
    if unknown:
        raise ValueError(f"overrides has {unknown}; allowed: {', '.join(OVERRIDES)}")
    if report is not None and not callable(report):
        raise TypeError(f"report is {report!r}; allowed: a function of a Conversion, such as print, or None")
    new: dict[_BatchNorm, BatchNorm] = {}
    converted, left = [], {}
    for name, layer in model.named_modules():
        if is_scripted(layer):
            left[name] = "scripted, whose code is fixed: convert the model before torch.jit sees it"
        if not isinstance(layer, _BatchNorm) or isinstance(layer, BatchNorm):
            continue
        reason = _why_not(layer)
        if reason is None:
            try:
                new[layer] = _overridden(_twin(layer), overrides)
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from None
            converted.append(name)
        else:
            left[name] = reason
    done = Conversion(tuple(converted), left)
    if left and strict:
        raise ValueError(f"strict is True, and the model has layers that can't be converted:\n{done}")
    for layer, twin in new.items():
        _become(layer, twin)
    if report is not None:
        report(done)
    elif left:
        warnings.warn(str(done), stacklevel=2)
    return model


def from_torch(layer: nn.Module) -> BatchNorm:
    """Return a ``BatchNorm`` that computes what ``layer`` (``nn.BatchNorm1d/2d/3d``) computes.

    PyTorch averages the Bessel-corrected variance, so the result has ``fused=True``. Its tensors
    are copies; hooks aren't. Raises ``TypeError`` for another class.
    """
    if type(layer) not in TORCH_LAYERS.values():
        allowed = ", ".join(f"nn.{cls.__name__}" for cls in TORCH_LAYERS.values())
        raise TypeError(f"layer is a {type(layer).__name__}; allowed: {allowed}")
    assert isinstance(layer, _BatchNorm)
    if _uncounted(layer):
        raise ValueError(f"layer has num_batches_tracked None; allowed: {_COUNTER}")
    new = _twin(layer)
    _copy(layer, new)
    return new.train(layer.training)


@overload
def to_torch(model: BatchNorm, dimensions: int | None = None) -> _BatchNorm: ...
@overload
def to_torch(model: Model, dimensions: int | None = None) -> Model: ...
def to_torch(model: nn.Module, dimensions: int | None = None) -> nn.Module:
    """Make PyTorch's layers of ``BatchNorm``: of a whole model in place, or of a layer a new one.

    In a model every ``BatchNorm`` becomes what it was before ``convert``, and one that was nothing else
    becomes ``nn.BatchNorm{dimensions}d``; layers and their tensors stay the objects that they are. Of a
    ``BatchNorm`` itself a new layer is made, with copies of its tensors: ``nn.BatchNorm{dimensions}d``, or
    without ``dimensions`` what it was before. A missing gamma or beta becomes a frozen 1 or 0.

    ``dimensions`` is 1, 2 or 3. Raises ``ValueError``, before anything is changed, where PyTorch has no such
    layer: a population moving variance (``fused=False``), an update schedule other than ``"in_place"``,
    zero-debias, renorm, an activation, regularizers, or channels last.
    """
    if dimensions is not None and dimensions not in TORCH_LAYERS:
        raise ValueError(f"dimensions is {dimensions!r}; allowed: 1, 2, 3, or None for converted layers")
    if isinstance(model, BatchNorm):
        cls = model.torch_class if dimensions is None else TORCH_LAYERS[dimensions]
        twin = _torch_twin(model, cls, "")
        _copy(model, twin)
        return twin.train(model.training)
    new: dict[BatchNorm, _BatchNorm] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, BatchNorm):
            cls = layer.torch_class or (None if dimensions is None else TORCH_LAYERS[dimensions])
            new[layer] = _torch_twin(layer, cls, name)
    for layer, twin in new.items():
        missing = [(n, p) for n, p in twin.named_parameters() if getattr(layer, n) is None]
        _become(layer, twin)
        for name, parameter in missing:
            layer.register_parameter(name, parameter)
    return model


def is_scripted(layer: nn.Module) -> bool:
    """Whether ``layer`` is what ``torch.jit`` made of a batch-norm layer, and so no longer one in Python."""
    return isinstance(layer, torch.jit.ScriptModule) and layer.original_name in _SCRIPTED


def _uncounted(layer: _BatchNorm) -> bool:
    return layer.running_mean is not None and layer.num_batches_tracked is None


def _why_not(layer: _BatchNorm) -> str | None:
    if isinstance(layer, nn.SyncBatchNorm):
        return "a SyncBatchNorm, whose moments are those of several processes"
    if type(layer) not in TORCH_LAYERS.values():
        lazy = isinstance(layer, nn.modules.lazy.LazyModuleMixin)
        kind = type(layer).__name__
        return f"a {kind}, lazy: run a forward first" if lazy else f"a {kind}, which may do anything else"
    if "forward" in vars(layer):
        return f"a {type(layer).__name__} whose forward was replaced"
    if not layer.eps > 0:
        return f"a {type(layer).__name__} with eps {layer.eps!r}; allowed: above 0"
    if _uncounted(layer):
        return f"a {type(layer).__name__} with num_batches_tracked None; allowed: {_COUNTER}"
    return None


def _twin(layer: _BatchNorm) -> BatchNorm:
    """Return a ``BatchNorm`` with the options of ``layer``, and values of its own."""
    new = BatchNorm(
        layer.num_features,
        decay=0.999 if layer.momentum is None else decay_from_momentum(layer.momentum),
        center=layer.bias is not None,
        scale=layer.weight is not None,
        epsilon=layer.eps,
        fused=True,
    )
    new.momentum = layer.momentum
    new.torch_class = type(layer)
    if layer.running_mean is None:
        torch.func.replace_all_batch_norm_modules_(new)
    else:
        # Switched off with averages there, they stay and are still what evaluation normalises by.
        new.track_running_stats = layer.track_running_stats
    return new


def _torch_twin(layer: BatchNorm, cls: type[_BatchNorm] | None, name: str) -> _BatchNorm:
    where = f"layer {name!r}: " if name else ""
    reason = layer.unlike_torch()
    if reason is not None:
        raise ValueError(where + reason)
    if cls is None:
        raise ValueError(
            f"{where}dimensions is None; allowed: 1, 2 or 3 for a layer that convert didn't make"
        )
    twin = cls(
        layer.num_features,
        eps=layer.eps,
        momentum=layer.momentum,
        affine=layer.affine,
        track_running_stats=layer.track_running_stats,
    )
    for parameter in ("weight", "bias"):
        if getattr(layer, parameter) is None and getattr(twin, parameter) is not None:
            getattr(twin, parameter).requires_grad_(False)
    floating = [t for t in (*layer.parameters(), *layer.buffers()) if t.is_floating_point()]
    return twin.to(floating[0]) if floating else twin


def _overridden(layer: BatchNorm, overrides: dict[str, Any]) -> BatchNorm:
    # A throw-away layer runs the constructor's checks, so that messages are the same.
    BatchNorm(layer.num_features, **overrides)
    schedule = overrides.get("updates", "in_place")
    if layer.momentum is None and schedule != "in_place" and "decay" not in overrides:
        raise ValueError(
            f"updates is {schedule!r}, and momentum is None, whose averages are cumulative; "
            "allowed: 'in_place', or a decay beside it"
        )
    for option, value in overrides.items():
        setattr(layer, option, value)
    if "decay" in overrides:
        layer.momentum = momentum_from_decay(layer.decay)  # no longer None
    return layer


def _become(layer: _BatchNorm, twin: _BatchNorm) -> None:
    """Give ``layer`` the class and options of ``twin``; it keeps its tensors, hooks, mode and identity."""
    # As PyTorch's own lazy layers do once they know their shape.
    own = vars(layer)
    options = {name: value for name, value in vars(twin).items() if name not in _MODULE}
    known = {*_OPTIONS, *vars(BatchNorm(1))} - _MODULE
    for name in known & own.keys():
        del own[name]
    layer.__class__ = cast(Any, type(twin))
    own.update(options)


def _copy(source: _BatchNorm, target: _BatchNorm) -> None:
    # Clones bring dtype, device and whether a gradient is wanted along.
    for name, parameter in source.named_parameters():
        value = nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
        setattr(target, name, value)
    for name, buffer in source.named_buffers():
        setattr(target, name, buffer.detach().clone())
