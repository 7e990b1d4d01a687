"""Batch-norm layers of any make, seen alike: of a module, or of the tensors in a state_dict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy

from bnstudy.norm import BatchNorm

# PyTorch's names, and TensorFlow's, for the same tensors.
NAMES = {
    "mean": ("running_mean", "moving_mean"),
    "variance": ("running_var", "moving_variance"),
    "weight": ("weight", "gamma"),
    "bias": ("bias", "beta"),
    "count": ("num_batches_tracked",),
}
# What data parallelism and compilation put in front of a name.
WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+|(?<=\.)_orig_mod\.")


@dataclass(frozen=True)
class Layer:
    """A batch-norm layer: its tensors [C], None where it has none, and what is known of its settings.

    ``count`` is how many batches the statistics say they saw. Of a state_dict ``module`` and ``training``
    are None, ``epsilon`` and ``momentum`` too; a module's ``momentum`` is None for a cumulative average.
    """

    name: str
    mean: Tensor | None
    variance: Tensor | None
    weight: Tensor | None
    bias: Tensor | None
    count: int | None
    module: nn.Module | None = None
    training: bool | None = None
    epsilon: float | None = None
    momentum: float | None = None

    @property
    def channels(self) -> int:
        """Return the number of channels; 0 if no tensor tells."""
        known = (t for t in (self.mean, self.variance, self.weight, self.bias) if t is not None)
        return next((t.numel() for t in known), 0)

    @property
    def trainable(self) -> bool:
        """Return whether scale or offset require gradients."""
        return any(t is not None and t.requires_grad for t in (self.weight, self.bias))

    @property
    def initial(self) -> bool:
        """Return whether the statistics are those of a new layer: means all 0 and variances all 1."""
        if self.mean is None or self.variance is None:
            return False
        return bool((self.mean == 0).all() and (self.variance == 1).all())

    @property
    def affine_moved(self) -> bool:
        """Return whether scale and offset show training.

        An initialisation gives all channels one value, or draws the scale and leaves the offset at one.
        """
        shown = self.bias if self.bias is not None else self.weight
        if shown is None:
            return False
        value = shown.detach()
        return bool((value != value[0]).any()) if value.numel() > 1 else bool((value != value.round()).any())


def is_batch_norm(module: nn.Module) -> bool:
    """Return whether a module normalises by batch statistics or by averages of them.

    PyTorch's layers, their subclasses, ours, and frozen ones by their buffers' names.
    """
    if isinstance(module, (_BatchNorm, BatchNorm)):
        mean = getattr(module, "running_mean", None)
        return not (isinstance(mean, Tensor) and is_lazy(mean))
    return not isinstance(module, _InstanceNorm) and all(
        isinstance(getattr(module, NAMES[kind][0], None), Tensor) for kind in ("mean", "variance")
    )


def moves(module: nn.Module) -> bool:
    """Return whether a batch-norm layer can move its statistics; torchvision's frozen one can't."""
    return isinstance(module, (_BatchNorm, BatchNorm)) or hasattr(module, "momentum")


def named_batch_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every batch-norm layer once, by its first name without what wrappers put before it."""
    for name, module in model.named_modules():
        if is_batch_norm(module):
            yield WRAPPERS.sub("", f"{name}.").removesuffix("."), module


def of_module(name: str, module: nn.Module) -> Layer:
    """Return a module as a ``Layer``; tensors are the module's own.

    Raises ``ValueError`` where they hold no values (device "meta") or are those of several models.
    """
    count = _tensor(module, "count")
    _check_values(name, {kind: _tensor(module, kind) for kind in NAMES})
    return Layer(
        name,
        _tensor(module, "mean"),
        _tensor(module, "variance"),
        _tensor(module, "weight"),
        _tensor(module, "bias"),
        count=None if count is None else int(count),
        module=module,
        training=module.training,
        epsilon=_setting(module, "eps", "epsilon"),
        momentum=getattr(module, "momentum", None),
    )


def of_model(model: nn.Module) -> list[Layer]:
    """Return the batch-norm layers of a model, in the order of their registration."""
    return [of_module(name, module) for name, module in named_batch_norms(model)]


def of_state(state: Mapping[str, Tensor]) -> list[Layer]:
    """Return the layers of which a state_dict holds statistics, or a counter of batches.

    Raises ``ValueError`` where they hold no values (device "meta") or are those of several models.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        prefix, _, name = WRAPPERS.sub("", key).rpartition(".")
        for kind, names in NAMES.items():
            if name in names:
                found.setdefault(prefix, {})[kind] = value
    layers = []
    for prefix, tensors in found.items():
        if not tensors.keys() & {"mean", "variance", "count"}:
            continue
        _check_values(prefix, tensors)
        count = tensors.pop("count", None)
        mean, variance, weight, bias = (tensors.get(k) for k in ("mean", "variance", "weight", "bias"))
        number = None if count is None else int(count)
        layers.append(Layer(prefix, mean, variance, weight, bias, count=number))
    return layers


def _check_values(name: str, tensors: Mapping[str, Tensor | None]) -> None:
    for kind, tensor in tensors.items():
        if tensor is None or is_lazy(tensor):
            continue
        if tensor.is_meta:
            raise ValueError(
                f"layer {name!r} is on the device 'meta', where tensors hold no values; allowed: a model or "
                "state with its values, as load_state_dict(..., assign=True) or to_empty() and loading give"
            )
        if kind == "count" and tensor.numel() != 1:
            raise ValueError(
                f"layer {name!r} has a counter of shape {list(tensor.shape)}; allowed: one number. A stacked "
                "state of several models is looked at one by one: {key: t[0] for key, t in state.items()}"
            )


def _tensor(module: nn.Module, kind: str) -> Tensor | None:
    for name in NAMES[kind]:
        value = getattr(module, name, None)
        if isinstance(value, Tensor):
            return value
    return None


def _setting(module: nn.Module, *names: str) -> float | None:
    values = (getattr(module, name, None) for name in names)
    return next((float(v) for v in values if isinstance(v, (int, float))), None)


def statistics(layer: Layer) -> tuple[Tensor, Tensor] | None:
    """Return mean and variance [C] in float64 on the CPU, or None without them."""
    if layer.mean is None or layer.variance is None:
        return None
    return layer.mean.detach().to("cpu", torch.float64), layer.variance.detach().to("cpu", torch.float64)
