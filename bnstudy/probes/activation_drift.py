"""How a step moves the distribution of every layer's inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnstudy.probes.calls import intercepted
from bnstudy.probes.log import Log, Row, Schedule, always
from bnstudy.probes.moment import Moment, Weights, copied, underlying, undisturbed
from bnstudy.probes.units import check_sample_size, moments_by_unit, sample_by_unit, unit_axis, values_of

PERCENTILES = (15, 50, 85)


class ActivationDrift:
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
    first call. A unit is a channel (axis 1), or an entry of the last axis for linear layers, layer
    normalization, embeddings, attention and recurrent layers. Integer inputs have no rows.

    Cost: two forward passes, moments of all activations, and sorts of ``values_per_unit`` values of each
    unit. Memory: a copy of the parameters and those values.

    Args:
        model: any module; called as ``model(x)``.
        values_per_unit: how many values of a unit enter distance and percentiles, at positions drawn once;
            None for all. Mean and variance always use all.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    def __init__(
        self, model: nn.Module, *, values_per_unit: int | None = 512, schedule: Schedule = always
    ) -> None:
        self._model = underlying(model)
        self._size = check_sample_size(values_per_unit)
        self._log = Log(schedule)

    @contextmanager
    def __call__(self, x: Any, y: Any = None) -> Iterator[None]:
        """Measure the step taken in the body, on the batch ``x`` (the model's input); ``y`` isn't used."""
        del y
        with self._log.step() as rows:
            if rows is None:
                yield
                return
            before = Moment(self._model)
            yield
            with undisturbed(self._model), torch.no_grad():
                old = self._observed(before, before.weights, x)
                new = self._observed(before, copied(self._model.named_parameters()), x)
            for place, units in old.items():
                if place in new:
                    rows += _rows(*place, units, new[place])

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement: step (from 1), layer, quantity, value."""
        return self._log.frame()

    def _observed(self, moment: Moment, weights: Weights, x: Any) -> dict[tuple[str, str], _Units]:
        names = {module: name for name, module in self._model.named_modules() if _owns_parameters(module)}
        found: dict[tuple[str, str], _Units] = {}

        def note(module: nn.Module, side: str, value: Any) -> None:
            values = values_of(value)
            place = (names[module], side)
            if values is not None and place not in found:
                found[place] = _Units.of(values, unit_axis(module), self._size)

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if module not in names:
                return forward(*args, **kwargs)
            # Before the call, which may change its input in place.
            note(module, "input", args or tuple(kwargs.values()))
            output = forward(*args, **kwargs)
            note(module, "output", output)
            return output

        with intercepted(self._model, around):
            moment.run(weights, lambda model: model(x))
        return found


@dataclass(frozen=True)
class _Units:
    mean: Tensor
    variance: Tensor
    sorted_sample: Tensor

    @classmethod
    def of(cls, values: Tensor, axis: int, size: int | None) -> _Units:
        sample = sample_by_unit(values, axis, size)
        return cls(*moments_by_unit(values, axis), sample.sort(dim=1).values)


def _rows(layer: str, side: str, old: _Units, new: _Units) -> list[Row]:
    quantities = {
        "mean_shift": (new.mean - old.mean).abs().mean(),
        "variance_shift": (new.variance - old.variance).abs().mean(),
        "wasserstein": (new.sorted_sample - old.sorted_sample).abs().mean(),
        "std": old.variance.mean().sqrt(),
    }
    # Not torch.quantile, which takes 16 million values at most.
    percentiles = np.percentile(old.sorted_sample.cpu().numpy(), PERCENTILES)
    quantities |= {f"p{p}": value for p, value in zip(PERCENTILES, percentiles, strict=True)}
    return [(layer, f"{side}_{quantity}", float(value)) for quantity, value in quantities.items()]


def _owns_parameters(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None
