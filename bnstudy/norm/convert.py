"""Between ``BatchNorm`` and PyTorch's own layers, and whole models at a time."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.norm.layer import BatchNorm
from bnstudy.norm.momentum import decay_from_momentum, momentum_from_decay

TORCH_LAYERS: dict[int, type[_BatchNorm]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}

Model = TypeVar("Model", bound=nn.Module)


def from_torch(layer: nn.Module) -> BatchNorm:
    """Return a ``BatchNorm`` that computes what ``layer`` (``nn.BatchNorm1d/2d/3d``) computes.

    PyTorch averages the Bessel-corrected variance, so the result has ``fused=True``. Its tensors
    are copies. Raises ``TypeError`` for another class and ``ValueError`` where the two can't mean
    the same: ``momentum=None`` (a cumulative average has no decay) and
    ``track_running_stats=False`` (evaluation by batch statistics).
    """
    if type(layer) not in TORCH_LAYERS.values():
        allowed = ", ".join(f"nn.{cls.__name__}" for cls in TORCH_LAYERS.values())
        raise TypeError(f"layer is a {type(layer).__name__}; allowed: {allowed}")
    assert isinstance(layer, _BatchNorm)
    if layer.momentum is None:
        raise ValueError(
            "momentum is None (a cumulative average); allowed: a number, since decay = 1 - momentum"
        )
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError("track_running_stats is False; allowed: True, since evaluation uses moving averages")
    affine = layer.affine
    new = BatchNorm(
        layer.num_features,
        decay=decay_from_momentum(layer.momentum),
        center=affine,
        scale=affine,
        epsilon=layer.eps,
        fused=True,
    )
    _copy({"moving_mean": layer.running_mean, "moving_variance": layer.running_var}, new)
    if affine:
        _copy({"gamma": layer.weight, "beta": layer.bias}, new)
    return new.train(layer.training)


def to_torch(layer: BatchNorm, dimensions: int) -> _BatchNorm:
    """Return the ``nn.BatchNorm{dimensions}d`` that computes what ``layer`` computes.

    ``dimensions`` is 1, 2 or 3. A missing gamma or beta becomes a frozen 1 or 0. Raises
    ``ValueError`` where PyTorch has no such thing: a population moving variance
    (``fused=False``), an update schedule other than ``"in_place"``, zero-debias, renorm, an
    activation, regularizers, or channels last.
    """
    if dimensions not in TORCH_LAYERS:
        raise ValueError(f"dimensions is {dimensions!r}; allowed: 1, 2, 3")
    wanted: dict[str, Any] = {
        "fused": True,
        "updates": "in_place",
        "zero_debias": False,
        "renorm": False,
        "activation": None,
        "regularizers": {},
        "data_format": "NCHW",
    }
    for name, allowed in wanted.items():
        if getattr(layer, name) != allowed:
            raise ValueError(
                f"{name} is {getattr(layer, name)!r}; allowed: {allowed!r}, all that PyTorch's layer has"
            )
    affine = layer.gamma is not None or layer.beta is not None
    new = TORCH_LAYERS[dimensions](
        layer.num_features, eps=layer.epsilon, momentum=momentum_from_decay(layer.decay), affine=affine
    )
    _copy({"running_mean": layer.moving_mean, "running_var": layer.moving_variance}, new)
    for target, source in (("weight", layer.gamma), ("bias", layer.beta)):
        if source is not None:
            _copy({target: source}, new)
        elif affine:
            getattr(new, target).requires_grad_(False)
    new.to(layer.moving_mean.device)
    return new.train(layer.training)


def convert(model: Model, **overrides: Any) -> Model:
    """Swap every ``nn.BatchNorm1d/2d/3d`` in ``model`` for a ``BatchNorm``, in place, and return it.

    ``overrides`` are attributes set on every new layer: any of ``decay``, ``epsilon``, ``updates``,
    ``fused``. Layers used at several places stay shared. If ``model`` itself is such a layer the new
    one is returned. Raises as ``from_torch`` does, before anything is changed.
    """
    allowed = ("decay", "epsilon", "updates", "fused")
    unknown = sorted(set(overrides) - set(allowed))
    if unknown:
        raise ValueError(f"overrides has {unknown}; allowed: {', '.join(allowed)}")
    old = [m for m in model.modules() if type(m) in TORCH_LAYERS.values()]
    new = {layer: _overridden(from_torch(layer), overrides) for layer in old}
    if model in new:
        return new[model]  # type: ignore[return-value]
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child in new:
                setattr(parent, name, new[child])
    return model


def _overridden(layer: BatchNorm, overrides: dict[str, Any]) -> BatchNorm:
    # A throw-away layer runs the constructor's checks, so that messages are the same.
    BatchNorm(layer.num_features, **overrides)
    for name, value in overrides.items():
        setattr(layer, name, value)
    return layer


def _copy(tensors: dict[str, Tensor], target: nn.Module) -> None:
    # Clones bring dtype, device and whether a gradient is wanted along.
    for name, source in tensors.items():
        value = source.detach().clone()
        if isinstance(getattr(target, name), nn.Parameter):
            setattr(target, name, nn.Parameter(value, requires_grad=source.requires_grad))
        else:
            setattr(target, name, value)
