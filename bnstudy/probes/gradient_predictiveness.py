"""How well the gradient predicts the loss and the gradient a step further along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from bnstudy.norm.kernel import statistics_dtype
from bnstudy.probes.forward import Autocast, Forward, LossFunction, check_function
from bnstudy.probes.log import Row, Schedule, always
from bnstudy.probes.moment import Moment, leaves, trainable, undisturbed
from bnstudy.probes.probe import Batch, Probe

LENGTHS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)


class GradientPredictiveness(Probe):
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
        model: any module. Under ``torch.compile`` and ``DistributedDataParallel`` the module below is
            measured, on this process's batch alone.
        loss_fn: ``loss_fn(output, target)``, a tensor of one number; None where ``forward``'s output is the
            loss.
        learning_rate: of the step; a function without arguments if it changes, for example
            ``lambda: optimizer.param_groups[0]["lr"]``.
        lengths: distances along the gradient, in learning rates; above 0.
        forward: ``forward(model, batch)``, which returns (output, target), for models that aren't called as
            ``model(x)``; ``batch`` is what ``probe(batch)`` got, or the pair (x, y).
        autocast: a function without arguments that returns the context to pass batches in, where the body
            enters one of its own: ``lambda: torch.autocast("cuda", torch.bfloat16)``.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction | None,
        learning_rate: float | Callable[[], float],
        *,
        lengths: Sequence[float] = LENGTHS,
        forward: Forward | None = None,
        autocast: Autocast | None = None,
        schedule: Schedule = always,
    ) -> None:
        if forward is None:
            check_function("loss_fn", loss_fn)
        if not callable(learning_rate) and not learning_rate > 0:
            raise ValueError(f"learning_rate is {learning_rate!r}; allowed: above 0, or a function")
        if not lengths or not all(length > 0 for length in lengths):
            raise ValueError(f"lengths is {lengths!r}; allowed: one or more numbers above 0")
        super().__init__(model, schedule=schedule, forward=forward, loss_fn=loss_fn, autocast=autocast)
        self._learning_rate = learning_rate
        self._lengths = tuple(lengths)

    def _before(self) -> tuple[Moment, float]:
        rate = self._learning_rate() if callable(self._learning_rate) else self._learning_rate
        return Moment(self._model), rate

    def _after(self, start: tuple[Moment, float], batches: list[Batch]) -> list[Row]:
        with undisturbed(self._model):
            return self._measure(*start, batches)

    def _measure(self, moment: Moment, rate: float, batches: list[Batch]) -> list[Row]:
        names = trainable(self._model)
        _, here = moment.gradients(leaves(moment.weights, names), names, self._feed, batches)
        norm = _norm(here)
        losses, differences, ratios = [], [], []
        for length in self._lengths:
            eta = length * rate
            weights = dict(moment.weights)
            for name, g in zip(names, here, strict=True):
                weights[name] = torch.sub(weights[name], g, alpha=eta)
            loss, there = moment.gradients(leaves(weights, names), names, self._feed, batches)
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
