"""Whether gradients vanish, explode or stop being numbers, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bnstudy.norm.kernel import statistics_dtype
from bnstudy.probes.layers import Layers
from bnstudy.probes.log import Row, Schedule, always
from bnstudy.probes.probe import Batch, Probe


class GradientHealth(Probe):
    """Norm, zeros and non-finite entries of every layer's gradient, as the step in the body uses it.

    Quantities: ``gradient_norm``, the Euclidean norm over all of a layer's parameters; ``zero_share`` and
    ``nonfinite_share``, shares of its entries between 0 and 1; and for the whole model (layer ``""``)
    ``total_norm``. The run has blown up at the first measured step whose total norm is not finite or more
    than ``explosion`` times that of the first measured step: ``blew_up_at``.

    What is read is ``parameter.grad`` when an optimiser applies it: after clipping and a scaler's unscaling;
    gradients may be cleared behind the step. Steps that a ``GradScaler`` skips are none. Where no
    ``torch.optim.Optimizer`` steps, it is what the body leaves, and a ``RuntimeError`` if that is nothing.

    A layer is a module that owns parameters directly; parameters without a gradient are left out. Under
    ``DistributedDataParallel`` gradients are those reduced over all processes.

    Cost: four passes over the gradients, at most a tenth of a step on torchvision's networks
    (``benchmarks/networks.py``); none through the model. Memory: the largest gradient.

    Args:
        model: any module.
        explosion: how many times the first norm is an explosion; above 1. The default is the factor by
            which Bjorck et al. 2018 (arXiv 1806.02375) call a loss diverged.
        layers: which of them: names as in ``named_modules()`` (``*`` stands for anything), classes of
            modules, or a function of name and module; all by default. ``total_norm`` is then of these.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    _needs_batch = False

    def __init__(
        self,
        model: nn.Module,
        *,
        explosion: float = 1e3,
        layers: Layers | None = None,
        schedule: Schedule = always,
    ) -> None:
        if not explosion > 1:
            raise ValueError(f"explosion is {explosion!r}; allowed: above 1")
        super().__init__(model, schedule=schedule, layers=layers)
        self._explosion = explosion
        self._read: dict[Tensor, _Gradient] = {}

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

    def _before(self) -> None:
        self._read = {}

    def _applied(self, parameters: list[Tensor]) -> None:
        if self._open:
            self._read |= {p: _Gradient.of(p.grad) for p in parameters if p.grad is not None}

    def _after(self, start: Any, batches: list[Batch]) -> list[Row]:
        del start, batches
        layers: dict[str, list[_Gradient]] = {}
        for name, parameter in self._model.named_parameters():
            layer = name.rpartition(".")[0]
            if layer not in self._chosen:
                continue
            found = self._read.get(parameter)
            if found is None and parameter.grad is not None:
                found = _Gradient.of(parameter.grad)
            if found is not None:
                layers.setdefault(layer, []).append(found)
        self._read = {}
        if not layers:
            raise RuntimeError(
                "no parameter of model has a gradient at the end of the step; "
                "clear gradients at the beginning of the body, not at its end"
            )
        rows: list[Row] = []
        norms = []
        for layer, gradients in layers.items():
            size = sum(g.size for g in gradients)
            norms.append(math.hypot(*(g.norm for g in gradients)))
            rows.append((layer, "gradient_norm", norms[-1]))
            rows.append((layer, "zero_share", sum(g.zeros for g in gradients) / size))
            rows.append((layer, "nonfinite_share", sum(g.nonfinite for g in gradients) / size))
        rows.append(("", "total_norm", math.hypot(*norms)))
        return rows


@dataclass(frozen=True)
class _Gradient:
    """What is looked at of one parameter's gradient."""

    size: int
    norm: float
    zeros: int
    nonfinite: int

    @classmethod
    def of(cls, gradient: Tensor) -> _Gradient:
        """Look at ``gradient``, also a sparse or complex one."""
        gradient = gradient.detach()
        if gradient.is_sparse:
            gradient = gradient.to_dense()
        size = gradient.numel()
        if not size:
            return cls(0, 0.0, 0, 0)
        zeros = size - int(torch.count_nonzero(gradient))
        parts = torch.view_as_real(gradient) if gradient.is_complex() else gradient
        parts = parts.to(statistics_dtype(parts.dtype))
        largest = float(torch.linalg.vector_norm(parts, math.inf))
        if largest == 0.0:
            return cls(size, 0.0, zeros, 0)
        if not math.isfinite(largest):
            return cls(size, largest, zeros, size - int(gradient.isfinite().sum()))
        # In units of the largest entry: the squares of exploding gradients overflow long before they do.
        return cls(size, largest * float((parts / largest).norm()), zeros, 0)
