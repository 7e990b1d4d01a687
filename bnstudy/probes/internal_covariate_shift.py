"""Internal covariate shift, by its published definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bnstudy.norm.kernel import statistics_dtype
from bnstudy.probes.calls import Key
from bnstudy.probes.forward import Autocast, Forward, LossFunction, check_function
from bnstudy.probes.layers import Layers
from bnstudy.probes.log import Row, Schedule, always
from bnstudy.probes.moment import Moment, Weights, copied, leaves, trainable, undisturbed
from bnstudy.probes.probe import Batch, Probe
from bnstudy.probes.recording import Recording
from bnstudy.probes.trace import Layer, Trace


class InternalCovariateShift(Probe):
    """How much the gradient of a layer changes because the layers before it were updated.

    For layer i and a step from W^t to W^(t+1), with everything on the batch of that step::

        G_i  = grad of L(W_1^t, ..., W_k^t)                               with respect to W_i
        G'_i = grad of L(W_1^(t+1), ..., W_(i-1)^(t+1), W_i^t, ..., W_k^t) with respect to W_i

    Quantities: ``ics`` is ``||G_i - G'_i||_2``; ``ics_relative`` is ``ics / ||G_i||_2`` (0 where both are
    0, infinite where G_i alone is); ``cosine`` is the cosine of the angle between G_i and G'_i (1 where
    both are 0, 0 where one is).

    Source: Santurkar et al. 2018 (arXiv 1805.11604), Definition 2.1.

    With ``redrawn``, ``ics_redrawn``, ``ics_relative_redrawn`` and ``cosine_redrawn`` are the same with
    another G'_i, on the random numbers of the next pass, so that noise which is drawn anew at each pass
    counts as a shift of what the layers before do. (For the first layer it is the noise's alone.)

    A layer is a module that owns parameters directly, named as in ``named_modules()``, in order of first
    execution. W_i is all of its parameters that require gradients, as one vector; frozen layers
    keep their place in the order and have no rows. A parameter that several modules hold belongs to the
    one executed first. All passes start from the buffers, attributes and random states at the entry of
    the ``with`` statement (so that dropout draws the same mask in both), in the autocast state and
    the training mode there. The step in the body may be of any kind; what is measured is the change of the
    parameters between entry and exit.

    Cost, as a multiple of a training step: one for G, a forward with the new weights, and for each
    layer the forward and backward through what comes after it alone. What the updated layers before it
    compute is recorded once and shared; no gradient flows there. ``benchmarks/probes.py`` measures it;
    on torchvision's networks it is a third of the straightforward way (``benchmarks/networks.py``).
    A model may call its layers in another order at every step, but not in one that depends on the weights.
    Memory: three times the parameters, and the recorded outputs, one for each place between layers:
    about what a training step keeps for its backward pass.

    Args:
        model: any module. Under ``torch.compile`` and ``DistributedDataParallel`` the module below is
            measured, on this process's batch alone.
        loss_fn: ``loss_fn(output, target)``, a tensor of one number; None where ``forward``'s output is the
            loss.
        layers: which of them: names as in ``named_modules()`` (``*`` stands for anything), classes of
            modules, or a function of name and module; all by default.
        forward: ``forward(model, batch)``, which returns (output, target), for models that aren't called as
            ``model(x)``; ``batch`` is what ``probe(batch)`` got, or the pair (x, y).
        autocast: a function without arguments that returns the context to pass batches in, where the body
            enters one of its own: ``lambda: torch.autocast("cuda", torch.bfloat16)``.
        redrawn: whether to measure with the next pass's random numbers too; doubles the cost.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    _needs_step = True

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction | None,
        *,
        layers: Layers | None = None,
        forward: Forward | None = None,
        autocast: Autocast | None = None,
        redrawn: bool = False,
        schedule: Schedule = always,
    ) -> None:
        if forward is None:
            check_function("loss_fn", loss_fn)
        super().__init__(
            model, schedule=schedule, layers=layers, forward=forward, loss_fn=loss_fn, autocast=autocast
        )
        self._redrawn = redrawn

    def _before(self) -> Moment:
        return Moment(self._model)

    def _after(self, start: Moment, batches: list[Batch]) -> list[Row]:
        with undisturbed(self._model):
            return self._measure(start, batches)

    def _measure(self, before: Moment, batches: list[Batch]) -> list[Row]:
        model, feed = self._model, self._feed
        old, new = before.weights, copied(model.named_parameters())
        wanted = trainable(model)
        tensors = leaves(old, wanted)
        trace = Trace(model, tensors)
        with trace.watching():
            _, found = before.gradients(tensors, wanted, feed, batches)
        gradients = dict(zip(wanted, found, strict=True))
        redrawn = before.with_later_noise() if self._redrawn else None

        shifts = []
        weights, moved = dict(old), False
        for layer in trace.layers():
            names = [name for name in layer.parameters if name in gradients]
            if names and layer.name in self._chosen:
                skipped = trace.finished_before(layer) if moved else set()
                shifts.append(_Shift(layer, names, dict(weights), moved, skipped))
            for name in layer.parameters:
                weights[name] = new[name]
                moved = moved or not torch.equal(old[name], new[name])

        rows = self._compared(shifts, gradients, trace, before, new, batches)
        if redrawn is None:
            return rows
        # Of noise, also what lies before the first layer that the step has changed is another.
        shifts = [replace(s, moved=True, skipped=trace.finished_before(s.place)) for s in shifts]
        again = self._compared(shifts, gradients, trace, redrawn, new, batches)
        return rows + [(layer, f"{quantity}_redrawn", value) for layer, quantity, value in again]

    def _compared(
        self,
        shifts: list[_Shift],
        gradients: dict[str, Tensor],
        trace: Trace,
        moment: Moment,
        new: Weights,
        batches: list[Batch],
    ) -> list[Row]:
        """Return each layer's rows, G' being that of passes at ``moment``."""
        model, feed = self._model, self._feed
        recording = Recording(set().union(*(shift.skipped for shift in shifts)), trace.mutated)
        if any(shift.moved for shift in shifts):
            with torch.no_grad(), recording.made_in(model):
                moment.run(new, lambda m: [feed.output(m, *batch) for batch in batches])
        rows = []
        for shift in shifts:
            gradient = [gradients[name] for name in shift.names]
            shifted = gradient  # by definition, where nothing before the layer has changed
            if shift.moved:
                with recording.replayed_in(model, shift.skipped):
                    tensors = leaves(shift.weights, shift.names)
                    _, shifted = moment.gradients(tensors, shift.names, feed, batches)
            rows += _rows(shift.place.name, _flat(gradient), _flat(shifted))
        return rows


@dataclass(frozen=True)
class _Shift:
    """What is to be computed for one layer: with which weights, and what of it is known already."""

    place: Layer
    names: list[str]
    weights: dict[str, Tensor]
    moved: bool
    skipped: set[Key]


def _rows(layer: str, gradient: Tensor, shifted: Tensor) -> list[Row]:
    norm, shifted_norm, ics = (float(v.norm()) for v in (gradient, shifted, gradient - shifted))
    if ics == 0.0:
        relative, cosine = 0.0, 1.0
    else:
        relative = ics / norm if norm else math.inf
        both = norm * shifted_norm
        # Not `gradient @ shifted`, which autocast would round.
        cosine = float((gradient * shifted).sum()) / both if both else 0.0
    return [(layer, "ics", ics), (layer, "ics_relative", relative), (layer, "cosine", cosine)]


def _flat(gradients: list[Tensor]) -> Tensor:
    flat = torch.cat([g.reshape(-1) for g in gradients])
    return flat.to(statistics_dtype(flat.dtype))
