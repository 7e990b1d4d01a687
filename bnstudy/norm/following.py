"""What batch-norm layers do between two looks at them, for those who keep statistics beside them.

What a layer tells is kept in attributes of its own, in tuples: whoever puts back a module's attributes
after a pass (the probes do) unsays what the pass said.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.norm.averages import MOST_SHOWN, MovingAverages
from bnstudy.norm.kernel import BatchMoments

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

_PREFIX = "_averages_beside_"
_numbers = itertools.count()


def named_layers(layers: nn.Module | Iterable[nn.Module]) -> dict[str, nn.Module]:
    """Return the batch-norm layers of a model by name, or those of a sequence by position."""
    if isinstance(layers, nn.Module):
        return {name: m for name, m in layers.named_modules() if isinstance(m, _BatchNorm)}
    return {f"layers[{i}]": layer for i, layer in enumerate(layers)}


class Moments:
    """Reads the moments of a ``BatchNorm``'s forwards in training mode since the last look.

    Those of ``updates="after_step"`` count in the update pass alone, where the layer itself absorbs.
    """

    def __init__(self, layer: MovingAverages, name: str) -> None:
        self.layer = layer
        self._name = name
        self._seen: BatchMoments | None = None
        layer.followers += 1
        if layer.step_moments is None:
            layer.step_moments = ()
        self._end = weakref.finalize(self, _leave, layer)
        self.skip()

    def take(self) -> tuple[BatchMoments, ...]:
        """Return what is new, in order; ``RuntimeError`` if it is more than a layer remembers."""
        shown = self.layer.step_moments or ()
        seen = [i for i, batch in enumerate(shown) if batch is self._seen]
        self.skip()
        if len(shown) == MOST_SHOWN and not seen:
            raise RuntimeError(
                f"{self._name} had {MOST_SHOWN} forwards or more since the last update(); allowed: fewer"
            )
        return shown[seen[-1] + 1 :] if seen else shown

    def skip(self) -> None:
        """Take what is new for seen."""
        if self.layer.step_moments:
            self._seen = self.layer.step_moments[-1]
        # Others may look at the same; the next forward begins anew.
        self.layer.step_is_read = True


def _leave(layer: MovingAverages) -> None:
    layer.followers -= 1
    if layer.followers == 0:
        layer.step_moments = None


class Averages:
    """Lets a layer of PyTorch's average, at each forward in training mode, for others beside itself.

    For each of ``momenta`` the layer runs again on the same input, with that momentum and the averages
    that it would have, and moves these as it moves its own: by its own arithmetic, on its own device,
    among its own processes. That costs a forward of the layer each.
    """

    def __init__(self, layer: _BatchNorm, momenta: Sequence[float], start: Callable[[], Tensor]) -> None:
        self.layer = layer
        self._momenta = tuple(momenta)
        self._start = start
        self._key = f"{_PREFIX}{next(_numbers)}"
        handle = layer.register_forward_hook(_Hook(self), with_kwargs=True)
        self._end = weakref.finalize(self, handle.remove)

    def take(self) -> tuple[Tensor, int] | None:
        """Return the averages [A, 2, C] of now, and how many forwards moved them, or None if none did."""
        found: tuple[Tensor, int] | None = vars(self.layer).pop(self._key, None)
        return found

    def skip(self) -> None:
        """Forget the forwards since the last ``take()``."""
        self.take()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def absorb(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Move the averages by a forward that has just been."""
        layer = self.layer
        if not layer.training or layer.running_mean is None or not _values(args, kwargs):
            return
        values, count = vars(layer).get(self._key, (None, 0))
        values = self._start() if values is None else values.clone()
        own = (layer.running_mean, layer.running_var, layer.num_batches_tracked, layer.momentum)
        try:
            layer.num_batches_tracked = None if own[2] is None else own[2].clone()
            for momentum, (mean, variance) in zip(self._momenta, values, strict=True):
                layer.running_mean, layer.running_var, layer.momentum = mean, variance, momentum
                type(layer).forward(layer, *args, **kwargs)
        finally:
            layer.running_mean, layer.running_var, layer.num_batches_tracked, layer.momentum = own
        vars(layer)[self._key] = (values, count + 1)


@contextmanager
def unheard(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Return a context of whose forwards nobody hears later, neither ``apply_updates`` nor who follows."""
    told = ("batch_moments", "pending", "step_moments", "step_is_read")
    kept = {
        layer: {k: v for k, v in vars(layer).items() if k in told or k.startswith(_PREFIX)}
        for layer in layers
    }
    try:
        yield
    finally:
        for layer, attributes in kept.items():
            for name in [name for name in vars(layer) if name.startswith(_PREFIX)]:
                del vars(layer)[name]
            vars(layer).update(attributes)


def _values(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    return sum(x.numel() for x in (*args, *kwargs.values()) if isinstance(x, Tensor))


class _Hook:
    """Tells ``Averages`` of a forward, as long as both are there; a copy of the layer has nobody to tell."""

    def __init__(self, averages: Averages | None = None) -> None:
        self._averages = None if averages is None else weakref.ref(averages)

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> None:
        averages = None if self._averages is None else self._averages()
        if averages is not None and averages.layer is layer:
            averages.absorb(args, kwargs)

    def __reduce__(self) -> tuple[type[_Hook], tuple[()]]:
        return _Hook, ()
