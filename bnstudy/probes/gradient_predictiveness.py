"""How well the gradient predicts the loss and the gradient a step further along it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from bnstudy.norm.kernel import statistics_dtype
from bnstudy.probes.forward import Feed, LossFunction, check_function, parts
from bnstudy.probes.log import Log, Row, Schedule, always
from bnstudy.probes.moment import Moment, leaves, trainable, underlying, undisturbed

LENGTHS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)


class GradientPredictiveness:
    """Range of loss and of gradient differences along the gradient, and the effective beta-smoothness.

    With w the weights before the step, g the gradient of the loss on the step's batch there, and
    ``eta = length * learning_rate``, the points are ``w - eta g``. Quantities, for the whole model
    (layer ``""``):

    - ``loss_min``, ``loss_max``: range of the loss at the points;
    - ``gradient_difference_min``, ``gradient_difference_max``: range of ``||g - grad L(w - eta g)||_2``;
    - ``beta_smoothness``: the largest ``||g - grad L(w - eta g)||_2 / (eta ||g||_2)`` (0 where g is 0).

    Source: Santurkar et al. 2018 (arXiv 1805.11604), section 3.1 and Fig. 4: ranges at one step of one run,
    not the envelope of several runs. The direction is the gradient's, whatever the optimiser.

    The batch, buffers, random states (so the dropout masks too) and modes are the same at all points: those
    at the entry of the ``with`` statement.

    Cost: one forward and backward for g and one for each length: nine with the default lengths.
    Memory: five times the parameters.

    Args:
        model: any module; called as ``model(x)``.
        loss_fn: ``loss_fn(output, target)``, a tensor of one number.
        learning_rate: of the step; a function without arguments if it changes, for example
            ``lambda: optimizer.param_groups[0]["lr"]``.
        lengths: distances along the gradient, in learning rates; above 0.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction,
        learning_rate: float | Callable[[], float],
        *,
        lengths: Sequence[float] = LENGTHS,
        schedule: Schedule = always,
    ) -> None:
        check_function("loss_fn", loss_fn)
        if not callable(learning_rate) and not learning_rate > 0:
            raise ValueError(f"learning_rate is {learning_rate!r}; allowed: above 0, or a function")
        if not lengths or not all(length > 0 for length in lengths):
            raise ValueError(f"lengths is {lengths!r}; allowed: one or more numbers above 0")
        self._model = underlying(model)
        self._feed = Feed(loss_fn=loss_fn)
        self._learning_rate = learning_rate
        self._lengths = tuple(lengths)
        self._log = Log(schedule)

    @contextmanager
    def __call__(self, x: Any, y: Any) -> Iterator[None]:
        """Measure around the step taken in the body, on the batch ``x`` (the model's input) and ``y``."""
        with self._log.step() as rows:
            if rows is not None:
                moment = Moment(self._model)
                with undisturbed(self._model):
                    rows += self._measure(moment, x, y)
            yield

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement: step (from 1), layer (always ""), quantity, value."""
        return self._log.frame()

    def _measure(self, moment: Moment, x: Any, y: Any) -> list[Row]:
        names = trainable(self._model)
        rate = self._learning_rate() if callable(self._learning_rate) else self._learning_rate
        _, here = moment.gradients(leaves(moment.weights, names), names, self._feed, parts(x, y))
        norm = _norm(here)
        losses, differences, ratios = [], [], []
        for length in self._lengths:
            eta = length * rate
            weights = dict(moment.weights)
            for name, g in zip(names, here, strict=True):
                weights[name] = torch.sub(weights[name], g, alpha=eta)
            loss, there = moment.gradients(leaves(weights, names), names, self._feed, parts(x, y))
            difference = _norm([a - b for a, b in zip(here, there, strict=True)])
            losses.append(float(loss))
            differences.append(difference)
            moved = eta * norm
            ratios.append(difference / moved if moved else 0.0)
        quantities = {
            "loss_min": min(losses),
            "loss_max": max(losses),
            "gradient_difference_min": min(differences),
            "gradient_difference_max": max(differences),
            "beta_smoothness": max(ratios),
        }
        return [("", quantity, value) for quantity, value in quantities.items()]


def _norm(tensors: list[Tensor]) -> float:
    return float(get_total_norm([t.to(statistics_dtype(t.dtype)) for t in tensors])) if tensors else 0.0
