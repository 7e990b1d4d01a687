"""The probes that users get: those of their modules, which refuse by name what they can't measure.

Each has the documentation of its base. The studies take the classes in the modules: their networks are known.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointError

from bnstudy.probes import (
    activation_drift,
    gaussianity,
    gradient_health,
    gradient_predictiveness,
    internal_covariate_shift,
    statistics_gap,
)
from bnstudy.probes.first_look import FirstLook, bypassed
from bnstudy.probes.internal_covariate_shift import _flat, _Shift
from bnstudy.probes.log import Row
from bnstudy.probes.moment import Moment, Weights, leaves
from bnstudy.probes.probe import Batch, Probe
from bnstudy.probes.references import Suspect, held_modules, part_old_spectral_norm, shared_memory
from bnstudy.probes.steps import Body, Outcome
from bnstudy.probes.trace import Trace


class _Guarded(Probe):
    """Tells steps from micro-batches where a forward pass changes parameters itself."""

    def _end(self, body: Body, batches: list[Batch]) -> None:
        if body.outcome is Outcome.STEP and not body._stepped:
            for name, module in self._model.named_modules():
                if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.max_norm is not None:
                    raise RuntimeError(
                        f"no optimiser stepped, and {name!r} has max_norm, by which forward passes change "
                        "its weight, so that a micro-batch looks like a step; allowed: a whole accumulated "
                        "step in one body, probe(MicroBatches(...)), or probes.stepped() behind a "
                        "handwritten step"
                    )
        super()._end(body, batches)


class _FromEntry(_Guarded):
    """Measures from a copy of the moment before the step, which needs parameters that nothing else holds."""

    _looked = False

    def _before(self) -> Any:
        if not self._looked:
            part_old_spectral_norm(self._model)
            if found := shared_memory(self._model):
                raise ValueError(
                    f"model's {found[0]}: putting the one back would undo the step of the other; allowed: a "
                    "copy (.clone()), or the parameter itself"
                )
            self._looked = True
        return super()._before()

    def _after(self, start: Any, batches: list[Batch]) -> list[Row]:
        if self.measured is not None:
            return super()._after(start, batches)
        with bypassed(self._model) as used:
            rows = super()._after(start, batches)
        if used:
            raise ValueError(
                f"model's forward pass uses the parameter {used[0]!r} itself, from a list or a closure, "
                "where a probe can't give it another value; allowed: the attribute of its module"
            )
        return rows


class ActivationDrift(_FromEntry, activation_drift.ActivationDrift):  # noqa: D101
    __doc__ = activation_drift.ActivationDrift.__doc__


class Gaussianity(_FromEntry, gaussianity.Gaussianity):  # noqa: D101
    __doc__ = gaussianity.Gaussianity.__doc__


class GradientHealth(_Guarded, gradient_health.GradientHealth):  # noqa: D101
    __doc__ = gradient_health.GradientHealth.__doc__


class StatisticsGap(_Guarded, statistics_gap.StatisticsGap):  # noqa: D101
    __doc__ = statistics_gap.StatisticsGap.__doc__


class GradientPredictiveness(_FromEntry, gradient_predictiveness.GradientPredictiveness):  # noqa: D101
    __doc__ = gradient_predictiveness.GradientPredictiveness.__doc__

    def _before(self) -> tuple[Moment, float]:
        moment, rate = super()._before()
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"learning_rate gave {rate!r}; allowed: a finite number of at least 0")
        return moment, rate

    def _measure(self, moment: Moment, rate: float, batches: list[Batch]) -> list[Row]:
        rows = super()._measure(moment, rate, batches)
        if rate:
            return rows
        warnings.warn(
            f"learning_rate gave 0 at step {self.step + 1}, where all points are one: beta_smoothness is NaN",
            stacklevel=2,
        )
        return [
            (where, what, math.nan if what == "beta_smoothness" else value) for where, what, value in rows
        ]


class InternalCovariateShift(_FromEntry, internal_covariate_shift.InternalCovariateShift):  # noqa: D101
    __doc__ = internal_covariate_shift.InternalCovariateShift.__doc__

    # What was found to speak against recordings, and whether there is no more to find out.
    _suspects: tuple[Suspect, ...] = ()
    _settled = False
    _looks = 0

    def _compared(
        self,
        shifts: list[_Shift],
        gradients: dict[str, Tensor],
        trace: Trace,
        moment: Moment,
        new: Weights,
        batches: list[Batch],
    ) -> list[Row]:
        def compared(shifts: list[_Shift]) -> list[Row]:
            return super(InternalCovariateShift, self)._compared(
                shifts, gradients, trace, moment, new, batches
            )

        skipping = [shift for shift in shifts if shift.moved and shift.skipped]
        if self._settled or not skipping:
            reasons = self._reasons(skipping)
            return compared([replace(s, skipped=set()) for s in shifts] if reasons else shifts)
        # In the middle, where as much is skipped as runs.
        one = skipping[len(skipping) // 2]
        expected = self._look(one, gradients, moment, batches)
        rows = None if self._reasons(skipping) else self._tried(lambda: compared(shifts), one, expected)
        if rows is not None:
            return rows
        self._settled = True
        found = "; ".join(self._reasons(skipping)[:3])
        warnings.warn(
            f"what modules of model do can't be taken from a recording: {found}. Every layer gets whole "
            "passes instead, which take longer",
            stacklevel=2,
        )
        return compared([replace(s, skipped=set()) for s in shifts])

    def _reasons(self, skipping: list[_Shift]) -> list[str]:
        """Return what speaks against skipping these calls, once a module."""
        if not self._suspects:
            return []
        skipped = {key[-1][0] for shift in skipping for key in shift.skipped}
        found = [s for s in self._suspects if any(map(s.speaks_against, skipped))]
        return list({s.module or s.reason: s.reason for s in reversed(found)}.values())[::-1]

    def _look(
        self, shift: _Shift, gradients: Weights, moment: Moment, batches: list[Batch]
    ) -> tuple[float, float]:
        """Note what speaks against a recording; return ``shift``'s ``ics`` by a whole pass, and G's norm."""
        self._looks += 1
        look = FirstLook(self._model, batches)
        with look.watching():
            tensors = leaves(shift.weights, shift.names)
            _, shifted = moment.gradients(tensors, shift.names, self._feed, batches)
        if look.changed_batch is not None:
            raise ValueError(
                f"model's forward pass changes its batch at {look.changed_batch}, so that the next pass gets "
                "another; allowed: one that leaves it as it is, or forward=, which passes a copy"
            )
        self._suspects = (*look.suspects, *held_modules(self._model))
        before = _flat([gradients[name] for name in shift.names])
        return float((before - _flat(shifted)).norm()), float(before.norm())

    def _tried(
        self, compared: Callable[[], list[Row]], shift: _Shift, expected: tuple[float, float]
    ) -> list[Row] | None:
        """Return the rows with calls from a recording, or None and a suspect, where they aren't right."""
        try:
            rows = compared()
        except CheckpointError:
            reason = "gradient checkpointing (torch.utils.checkpoint) finds other tensors than it saved"
        else:
            ics, norm = expected
            [found] = [v for name, what, v in rows if (name, what) == (shift.place.name, "ics")]
            noise = norm * _rounding(shift.weights.values())
            if abs(found - ics) <= 0.05 * ics + noise:
                # A step too small to tell is looked at again, some times.
                self._settled = ics > 20 * noise or self._looks >= 5
                return rows
            name = shift.place.name
            reason = f"{name!r} gets {found:.3g} by one, and {ics:.3g} by a whole pass"
        self._suspects = (*self._suspects, Suspect(reason))
        return None


def _rounding(weights: Iterable[Tensor]) -> float:
    """Return how far gradients of two passes may lie apart in the last digits, as a share."""
    tensors = [w for w in weights if w.is_floating_point()]
    if torch.is_autocast_enabled() or any(w.dtype.itemsize < 4 for w in tensors):
        return 1e-2
    # A GPU adds in any order, and may multiply with TF32's eleven bits.
    return 1e-6 if all(w.device.type == "cpu" for w in tensors) else 1e-3
