"""How a step moves the distribution of every layer's inputs and outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bnstudy.probes.axes import Axes, UnitAxis
from bnstudy.probes.calls import intercepted, version_of
from bnstudy.probes.forward import Autocast, Forward
from bnstudy.probes.layers import Layers
from bnstudy.probes.log import Row, Schedule, always
from bnstudy.probes.moment import Moment, Weights, copied, undisturbed
from bnstudy.probes.probe import Batch, Probe
from bnstudy.probes.units import (
    check_sample_size,
    moments_by_unit,
    percentiles,
    sample_by_unit,
    sorted_by_unit,
    values_of,
)

PERCENTILES = (15, 50, 85)


class ActivationDrift(Probe):
    """Shift of the inputs and outputs of every layer by one step, on that step's batch.

    Both sides are forward passes on the batch, with the weights before and after the step; all else
    (buffers, random states, so the dropout masks too, modes, autocast) is as at the entry of the ``with``
    statement. So only the weights make the difference, not the sampling of batches. Quantities, each with
    the prefix ``input_`` or ``output_``:

    - ``mean_shift``, ``variance_shift``: the absolute change of a unit's mean and (population)
      variance, averaged over units, in the activations' units and their square;
    - ``wasserstein``: the 1-D Wasserstein-1 distance between a unit's values before and after, mean of
      ``|sorted a - sorted b|``, averaged over units;
    - ``std``: the square root of the units' mean variance before the step, to put the others in proportion;
    - ``p15``, ``p50``, ``p85``: percentiles of all units' values before the step.

    Source: the percentiles are those of Ioffe & Szegedy 2015 (arXiv 1502.03167), Fig. 1, there of one unit.

    A layer is a module that owns parameters directly; a module called several times is measured at its
    first call, an accumulated step at its first micro-batch. A unit is a channel, or a feature on the last
    axis, as PyTorch's layers have it; for other modules the axis is inferred from the shapes of parameters
    and activations, and a warning says where it was guessed. Integer inputs have no rows.

    Cost: two forward passes, moments of all activations, and sorts of ``values_per_unit`` values of each
    unit: one to four training steps on torchvision's networks (``benchmarks/networks.py``). Memory: a copy
    of the parameters and those values.

    Args:
        model: any module. Under ``torch.compile`` and ``DistributedDataParallel`` the module below is
            measured, on this process's batch alone.
        values_per_unit: how many values of a unit enter distance and percentiles, at positions drawn once;
            None for all. Mean and variance always use all.
        layers: which of them: names as in ``named_modules()`` (``*`` stands for anything), classes of
            modules, or a function of name and module; all by default.
        unit_axis: the axis that counts units, for all layers, by layer's name, or as a function of name and
            module; where it isn't given it is inferred.
        forward: ``forward(model, batch)``, which returns (output, target), for models that aren't called as
            ``model(x)``; ``batch`` is what ``probe(batch)`` got, or the pair (x, y).
        autocast: a function without arguments that returns the context to pass batches in, where the body
            enters one of its own: ``lambda: torch.autocast("cuda", torch.bfloat16)``.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    _needs_step = True

    def __init__(
        self,
        model: nn.Module,
        *,
        values_per_unit: int | None = 512,
        layers: Layers | None = None,
        unit_axis: UnitAxis | None = None,
        forward: Forward | None = None,
        autocast: Autocast | None = None,
        schedule: Schedule = always,
    ) -> None:
        super().__init__(model, schedule=schedule, layers=layers, forward=forward, autocast=autocast)
        self._axes = Axes(self._model, unit_axis)
        self._size = check_sample_size(values_per_unit)

    def _before(self) -> Moment:
        return Moment(self._model)

    def _after(self, start: Moment, batches: list[Batch]) -> list[Row]:
        with undisturbed(self._model), torch.no_grad():
            old = self._observed(start, start.weights, batches[0])
            new = self._observed(start, copied(self._model.named_parameters()), batches[0])
        rows: list[Row] = []
        for (layer, side), units in old.items():
            if (layer, side) in new:
                drift = _drift(units, new[layer, side])
                rows += [(layer, f"{side}_{quantity}", value) for quantity, value in drift.items()]
        _drift.cache_clear()
        return rows

    def _observed(self, moment: Moment, weights: Weights, batch: Batch) -> dict[tuple[str, str], _Units]:
        names = {
            module: name
            for name, module in self._model.named_modules()
            if name in self._chosen and _owns_parameters(module)
        }
        found: dict[tuple[str, str], _Units] = {}
        newest: tuple[Tensor, int, int, _Units] | None = None

        def note(module: nn.Module, side: str, value: Any) -> None:
            nonlocal newest
            values = values_of(value)
            place = (names[module], side)
            if values is None or place in found:
                return
            axis = self._axes.of(names[module], module, values)
            # What one layer gives is often what the next one takes.
            if newest is not None and _is_same(values, axis, *newest[:3]):
                found[place] = newest[3]
            else:
                found[place] = _Units.of(values, axis, self._size)
                newest = (values, version_of(values), axis % values.dim(), found[place])

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if module not in names:
                return forward(*args, **kwargs)
            # Before the call, which may change its input in place.
            note(module, "input", args or tuple(kwargs.values()))
            output = forward(*args, **kwargs)
            note(module, "output", output)
            return output

        with intercepted(self._model, around):
            moment.run(weights, lambda model: self._feed.output(model, *batch))
        return found


def _is_same(values: Tensor, axis: int, newest: Tensor, version: int, newest_axis: int) -> bool:
    return (
        values.data_ptr() == newest.data_ptr()
        and values.shape == newest.shape
        and values.stride() == newest.stride()
        and version_of(values) == version
        and axis % values.dim() == newest_axis
    )


@dataclass(frozen=True, eq=False)
class _Units:
    mean: Tensor
    variance: Tensor
    sorted_sample: Tensor

    @classmethod
    def of(cls, values: Tensor, axis: int, size: int | None) -> _Units:
        """Look at ``values``, whose units lie along ``axis``."""
        sample = sample_by_unit(values, axis, size)
        return cls(*moments_by_unit(values, axis), sorted_by_unit(sample))


# What two layers share is next to each other.
@functools.lru_cache(maxsize=1)
def _drift(old: _Units, new: _Units) -> dict[str, float]:
    quantities: dict[str, Any] = {
        "mean_shift": (new.mean - old.mean).abs().mean(),
        "variance_shift": (new.variance - old.variance).abs().mean(),
        "wasserstein": (new.sorted_sample - old.sorted_sample).abs().mean(),
        "std": old.variance.mean().sqrt(),
    }
    values = percentiles(old.sorted_sample, PERCENTILES)
    quantities |= {f"p{p}": value for p, value in zip(PERCENTILES, values, strict=True)}
    return {quantity: float(value) for quantity, value in quantities.items()}


def _owns_parameters(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None
