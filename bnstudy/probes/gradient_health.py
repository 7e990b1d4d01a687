"""Whether gradients vanish, explode or stop being numbers, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
from torch import Tensor, nn

from bnstudy.probes.log import Log, Row, Schedule, always
from bnstudy.probes.moment import underlying


class GradientHealth:
    """Norm, zeros and non-finite entries of every layer's gradient, as the step in the body leaves it.

    Quantities: ``gradient_norm``, the Euclidean norm over all of a layer's parameters; ``zero_share`` and
    ``nonfinite_share``, shares of its entries between 0 and 1; and for the whole model (layer ``""``)
    ``total_norm``. The run has blown up at the first measured step whose total norm is not finite or more
    than ``explosion`` times that of the first measured step: ``blew_up_at``.

    What is read is ``parameter.grad`` at the end of the body: after clipping, if the body clips. So the body
    must not clear gradients behind the step; a ``RuntimeError`` says so where there are none.

    A layer is a module that owns parameters directly; parameters without a gradient are left out.

    Cost: three passes over the gradients; none through the model. Memory: one layer's gradient.

    Args:
        model: any module.
        explosion: how many times the first norm is an explosion; above 1. The default is the factor by
            which Bjorck et al. 2018 (arXiv 1806.02375) call a loss diverged.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    def __init__(self, model: nn.Module, *, explosion: float = 1e3, schedule: Schedule = always) -> None:
        if not explosion > 1:
            raise ValueError(f"explosion is {explosion!r}; allowed: above 1")
        self._model = underlying(model)
        self._explosion = explosion
        self._log = Log(schedule)

    @contextmanager
    def __call__(self, x: Any = None, y: Any = None) -> Iterator[None]:
        """Measure the gradients that the body leaves; ``x`` and ``y`` aren't used."""
        del x, y
        with self._log.step() as rows:
            yield
            if rows is not None:
                rows += self._measure()

    @property
    def blew_up_at(self) -> int | None:
        """The first measured step with an exploded gradient, or None so far."""
        frame = self.frame()
        totals = frame[frame.quantity == "total_norm"]
        if totals.empty:
            return None
        # Also true of NaN.
        exploded = totals[~(totals.value <= self._explosion * totals.value.iloc[0])]
        if not math.isfinite(totals.value.iloc[0]):
            exploded = totals
        return None if exploded.empty else int(exploded.step.iloc[0])

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement: step (from 1), layer, quantity, value."""
        return self._log.frame()

    def _measure(self) -> list[Row]:
        gradients: dict[str, list[Tensor]] = {}
        for name, parameter in self._model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad.detach()
                dense = gradient.to_dense() if gradient.is_sparse else gradient
                gradients.setdefault(name.rpartition(".")[0], []).append(dense)
        if not gradients:
            raise RuntimeError(
                "no parameter of model has a gradient at the end of the step; "
                "clear gradients at the beginning of the body, not at its end"
            )
        rows: list[Row] = []
        norms = []
        for layer, tensors in gradients.items():
            size = sum(g.numel() for g in tensors)
            norms.append(math.hypot(*(_norm(g) for g in tensors)))
            rows.append((layer, "gradient_norm", norms[-1]))
            rows.append((layer, "zero_share", sum(int((g == 0).sum()) for g in tensors) / size))
            rows.append((layer, "nonfinite_share", sum(int((~g.isfinite()).sum()) for g in tensors) / size))
        rows.append(("", "total_norm", math.hypot(*norms)))
        return rows


def _norm(gradient: Tensor) -> float:
    # In units of the largest entry: the squares of exploding gradients overflow long before they do.
    largest = float(gradient.abs().max()) if gradient.numel() else 0.0
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    return largest * float((gradient.float() / largest).norm())
