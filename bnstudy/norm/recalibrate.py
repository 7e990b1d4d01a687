"""Precise statistics for a whole model in one call, its layers PyTorch's or this package's."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from bnstudy.norm.convert import is_scripted
from bnstudy.norm.following import unheard
from bnstudy.norm.layer import BatchNorm
from bnstudy.norm.moments import weighted_moments
from bnstudy.norm.precise import PooledMoments

Model = TypeVar("Model", bound=nn.Module)


def recalibrate(
    model: Model,
    batches: Iterable[Any],
    *,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    inplace: bool = False,
) -> Model:
    """Return ``model`` with precise statistics in place of its batch-norm layers' moving averages.

    The statistics of a layer are the mean and population variance of all values that reach it on
    ``batches`` together, with the weights as they are and each batch normalised by its own moments, as in
    training. Batches may be of any sizes; of one with a single value a channel, which PyTorch's layers refuse
    in training, ``beta`` is what comes out, and a ``UserWarning`` says so. PyTorch's ``update_bn`` averages
    Bessel-corrected variances of batches, the smallest weighing as much as the largest, and leaves out how
    far their means lie apart.

    All else of the model is in evaluation mode meanwhile, so that dropout is off, as it is when the
    statistics are used (Li et al. 2018, arXiv 1801.05134). Modes, hooks and what layers count are left as
    they were. Layers in evaluation mode are recalibrated too; those without running statistics aren't.
    Statistics are those of this process's batches.

    Args:
        model: any module. Its layers are ``nn.BatchNorm*``, ``SyncBatchNorm`` on one process, subclasses of
            them, and ``BatchNorm``, whose ``batch_weights`` count.
        batches: what to pass, on the model's device; 10^3 to 10^4 samples are enough. By default a tensor
            is the model's input, as is the first entry of a tuple or list; a mapping is passed by name.
        forward: ``forward(model, batch)`` passes a batch instead; what it returns isn't used.
        inplace: change ``model`` itself, not a copy.

    Raises ``ValueError`` if there is no layer to recalibrate, a scripted one, no batch, or a moment that is
    not finite in the dtype of the layer's statistics (by the layer's name), and ``RuntimeError`` for
    ``SyncBatchNorm`` layers among several processes, and without ``inplace`` for a model that can't be
    copied, such as a pruned one; ``model`` is then as it was. Layers that no batch reaches keep their
    averages; a ``UserWarning`` names them.

    Source: Wu & Johnson 2021 (arXiv 2105.07576), section 3.
    """
    if forward is not None and not callable(forward):
        raise TypeError(f"forward is {forward!r}; allowed: a function of model and batch, or None")
    _layers(model)  # or why there are none
    changed = model if inplace else _copied(model)
    layers = _layers(changed)
    pools = {layer: PooledMoments() for layer in layers}
    with torch.no_grad(), torch.compiler.set_stance("force_eager"), _calibrating(changed, pools) as single:
        empty = True
        for batch in batches:
            empty = False
            (forward or _forward)(changed, batch)
    if empty:
        raise ValueError("batches is empty; allowed: at least one batch")
    _assign(layers, pools)
    if single:
        where = [name for layer, name in layers.items() if layer in single]
        warnings.warn(
            f"a batch has one value a channel at {where}, behind which it is beta, whatever the value; "
            "merge such a batch with another, or leave it out",
            stacklevel=2,
        )
    return changed


def _copied(model: Model) -> Model:
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:
        # Pruning and PyTorch's older weight and spectral normalisation keep results of theirs as attributes.
        raise RuntimeError(
            f"model can't be copied: {error}; allowed: inplace=True, which changes the model itself"
        ) from error


def _layers(model: nn.Module) -> dict[_BatchNorm, str]:
    for name, module in model.named_modules():
        if is_scripted(module):
            raise ValueError(
                f"layer {name!r} is scripted, and what reaches it can't be seen; allowed: the model before "
                "torch.jit, to be scripted behind it"
            )
    found = {m: name for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    for layer, name in found.items():
        if isinstance(layer, LazyModuleMixin) and layer.has_uninitialized_params():
            raise ValueError(f"layer {name!r} is lazy and has no statistics yet; run a forward first")
        if isinstance(layer, nn.SyncBatchNorm) and _processes(layer) > 1:
            raise RuntimeError(
                f"layer {name!r} is a SyncBatchNorm among {_processes(layer)} processes; "
                "allowed: one process with all batches"
            )
    tracked = {layer: name for layer, name in found.items() if layer.running_mean is not None}
    if not tracked:
        raise ValueError("model has no batch-norm layer with running statistics; allowed: at least one")
    return tracked


def _processes(layer: nn.SyncBatchNorm) -> int:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1
    return distributed.get_world_size(layer.process_group)


def _forward(model: nn.Module, batch: Any) -> None:
    if isinstance(batch, Mapping):
        model(**batch)
    elif isinstance(batch, (tuple, list)) and batch:
        model(batch[0])
    else:
        model(batch)


@contextmanager
def _calibrating(
    model: nn.Module, pools: Mapping[_BatchNorm, PooledMoments]
) -> Iterator[Collection[nn.Module]]:
    """Pool what reaches the layers, each normalising by its batch; put everything back as it was.

    Yields the layers that had a batch which PyTorch refuses, of one value a channel.
    """
    modes = {module: module.training for module in model.modules()}
    buffers = [(buffer, buffer.clone()) for layer in pools for buffer in layer.buffers(recurse=False)]

    doubled: set[nn.Module] = set()
    single: set[nn.Module] = set()

    def absorb(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert isinstance(layer, _BatchNorm)
        doubled.discard(layer)
        mean, variance, weight = _moments(layer, *args, **kwargs)
        pools[layer].add(mean, variance, weight)
        if weight != 1 or isinstance(layer, BatchNorm):
            return None
        # Of the same value twice the moments are the same, and the output is the same twice.
        doubled.add(layer)
        single.add(layer)
        return tuple(map(_twice, args)), {name: _twice(value) for name, value in kwargs.items()}

    def halve(layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return output[:1] if layer in doubled else None

    handles = [layer.register_forward_pre_hook(absorb, with_kwargs=True) for layer in pools]
    handles += [layer.register_forward_hook(halve, prepend=True) for layer in pools]
    try:
        # Not model.train(), which a model with frozen layers may have made its own.
        for module in modes:
            module.training = module in pools
        with unheard(pools):
            yield single
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)


def _twice(value: Any) -> Any:
    return torch.cat([value, value]) if isinstance(value, Tensor) else value


def _moments(
    layer: _BatchNorm, x: Tensor | None = None, batch_weights: Tensor | None = None, **named: Tensor
) -> tuple[Tensor, Tensor, float]:
    """Return mean and population variance of each channel, in float64, and the weight of the batch."""
    values = named["input"] if x is None else x  # PyTorch's layers call it input
    # Apple's GPUs have no float64.
    values = (values.cpu() if values.device.type == "mps" else values).detach().double()
    if isinstance(layer, BatchNorm) and layer.data_format == "NHWC":
        values = values.movedim(-1, 1)
    axes = [axis for axis in range(values.dim()) if axis != 1]
    if batch_weights is None:
        variance, mean = torch.var_mean(values, axes, correction=0)
        return mean, variance, values.numel() / values.shape[1]
    weights = batch_weights.to(values)
    rest = values.dim() - 1 - weights.dim()
    weights = weights.reshape(len(values), 1, *weights.shape[1:], *(1,) * rest)
    weight = float(weights.expand(len(values), 1, *values.shape[2:]).sum())
    return *weighted_moments(values, axes, weights), weight


@torch.no_grad()
def _assign(layers: Mapping[_BatchNorm, str], pools: Mapping[_BatchNorm, PooledMoments]) -> None:
    reached = {layer: name for layer, name in layers.items() if pools[layer].weight > 0}
    if not reached:
        raise ValueError("batches reach no batch-norm layer with a value; allowed: batches that do")
    statistics = {layer: pools[layer].statistics() for layer in reached}
    wrong = [reached[layer] for layer, pair in statistics.items() if not bool(pair.isfinite().all())]
    if wrong:
        raise ValueError(f"batches give moments that are not finite in {wrong}; allowed: finite values")
    for layer, (mean, variance) in statistics.items():
        for buffer, value in ((layer.running_mean, mean), (layer.running_var, variance)):
            if buffer is not None and not bool(value.to(buffer.dtype).isfinite().all()):
                raise ValueError(
                    f"batches give moments up to {float(value.abs().max()):.3g} in {layers[layer]!r}, which "
                    f"its {buffer.dtype} statistics can't hold; allowed: up to "
                    f"{torch.finfo(buffer.dtype).max:.3g}, or statistics in float32"
                )
    for layer, (mean, variance) in statistics.items():
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        if isinstance(layer, BatchNorm):
            layer.follow_averages()
    missed = [name for layer, name in layers.items() if layer not in reached]
    if missed:
        warnings.warn(f"no batch reaches {missed}, which keep their averages", stacklevel=3)
