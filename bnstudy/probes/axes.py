"""Which axis of a layer's activations counts its units.

PyTorch's own layers say it. For any other module it follows from the shapes of its parameters and
activations where these leave one axis; where they don't, it is guessed, and a warning names the layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from bnstudy.norm.layer import BatchNorm

# An axis for all layers, by layer, or a function of name and module that returns one, or None to infer it.
UnitAxis = int | Mapping[str, int] | Callable[[str, nn.Module], int | None]

_LAST = (nn.Linear, nn.RMSNorm, nn.Embedding, nn.EmbeddingBag, nn.MultiheadAttention, nn.RNNBase, nn.Bilinear)
_SECOND = (_BatchNorm, nn.GroupNorm, nn.PReLU, BatchNorm)


class Axes:
    """The axis of units of every layer of ``model``.

    Raises ``TypeError`` or ``ValueError`` for a ``unit_axis`` that is none, or that names no module.
    """

    def __init__(self, model: nn.Module, unit_axis: UnitAxis | None = None) -> None:
        self._told = unit_axis
        self._guessed: set[str] = set()
        if isinstance(unit_axis, Mapping):
            for name, axis in unit_axis.items():
                if name not in dict(model.named_modules()):
                    raise ValueError(f"unit_axis has {name!r}, which no module of model is called")
                _check(axis)
        elif unit_axis is not None and not callable(unit_axis):
            _check(unit_axis)

    def of(self, name: str, module: nn.Module, values: Tensor, other: Tensor | None = None) -> int:
        """Return the axis of ``values`` [N, ...], what ``module`` takes or gives, that counts its units.

        ``other`` is what stands at the module's other side; it helps where ``values`` alone leave a doubt.
        """
        told = self._asked(name, module)
        if told is not None:
            if not -values.dim() <= told < values.dim():
                raise ValueError(
                    f"unit_axis of {name!r} is {told}; allowed: an axis of {tuple(values.shape)}"
                )
            return told
        axis = _own(module, values)
        if axis is None:
            axis = _from_shapes(module, values)
        if axis is None and other is not None and other.dim() == values.dim():
            axis = _from_shapes(module, other)
        return self._guess(name, module, values) if axis is None else axis

    def _asked(self, name: str, module: nn.Module) -> int | None:
        if isinstance(self._told, Mapping):
            return self._told.get(name)
        return self._told(name, module) if callable(self._told) else self._told

    def _guess(self, name: str, module: nn.Module, values: Tensor) -> int:
        axis = _default(module)
        if name not in self._guessed:
            self._guessed.add(name)
            what = f"{name or 'the model'!r} ({type(module).__name__}, {tuple(values.shape)})"
            warnings.warn(
                f"which axis of {what} counts units doesn't follow from its parameters; {axis} was taken. "
                f"unit_axis={{{name!r}: ...}} says it",
                stacklevel=2,
            )
        return axis


def unit_axis(module: nn.Module) -> int:
    """Return the axis of a batch-norm layer's activations that counts channels: 1 or -1."""
    return -1 if isinstance(module, BatchNorm) and module.data_format == "NHWC" else 1


def _own(module: nn.Module, values: Tensor) -> int | None:
    """Return the axis for a class of PyTorch's or of this package, None for classes of others."""
    if values.dim() == 2:
        return 1
    if not type(module).__module__.startswith(("torch.nn.", "bnstudy.")):
        return None
    if isinstance(module, (_ConvNd, _InstanceNorm)):
        return _spatial(module, values)
    if isinstance(module, nn.LayerNorm):
        return -1 if len(module.normalized_shape) == 1 else None
    if isinstance(module, _LAST):
        return -1
    return unit_axis(module) if isinstance(module, _SECOND) else None


def _spatial(module: nn.Module, values: Tensor) -> int:
    """Return the axis in front of the spatial ones: inputs may come without a batch axis."""
    sizes = module.kernel_size if isinstance(module, _ConvNd) else int(type(module).__name__[-2])
    return -1 - (sizes if isinstance(sizes, int) else len(sizes))


def _from_shapes(module: nn.Module, values: Tensor) -> int | None:
    """Return the one axis, behind the batch's, that the module's own parameters fit, or None."""
    shapes = [tuple(p.shape) for p in module.parameters(recurse=False)]
    # A parameter such as [C, 1, 1] lies beside the axis that it scales.
    beside = {
        next(i for i, n in enumerate(shape) if n != 1) - len(shape)
        for shape in shapes
        if len(shape) > 1 and sum(n != 1 for n in shape) == 1
    }
    beside = {axis for axis in beside if values.dim() + axis > 0 and _fits(values, axis, shapes)}
    if len(beside) == 1:
        return beside.pop()
    # Scales and offsets say more than matrices, which know the other side's units too.
    for vectors in (True, False):
        sizes = {n for shape in shapes if (len(shape) == 1) is vectors for n in shape if n > 1}
        axes = [axis for axis in range(1, values.dim()) if values.shape[axis] in sizes]
        if len(axes) == 1:
            return axes[0] - values.dim() if axes[0] == values.dim() - 1 else axes[0]
        if axes:
            return None
    return None


def _fits(values: Tensor, axis: int, shapes: list[tuple[int, ...]]) -> bool:
    return any(len(shape) >= -axis and shape[axis] == values.shape[axis] for shape in shapes)


def _default(module: nn.Module) -> int:
    if isinstance(module, nn.LayerNorm):
        # [C, H, W] is an image's; of anything else the last axis is the embedding's.
        return -3 if len(module.normalized_shape) == 3 else -1
    return -1 if isinstance(module, _LAST) else 1


def _check(axis: Any) -> None:
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise TypeError(
            f"unit_axis is {axis!r}; allowed: an integer, a mapping of names to one, or a function"
        )
