"""What every probe shares: standing around the user's step, counting steps, and the rows that come out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bnstudy.probes.forward import Autocast, Feed, Forward, LossFunction, parts
from bnstudy.probes.layers import Layers, choose
from bnstudy.probes.log import Log, Row, Schedule
from bnstudy.probes.moment import underlying
from bnstudy.probes.steps import Body, Outcome

Batch = tuple[Any, Any]


class Given:
    """The batches of a step, to which the body may add those that it alone knows."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def add(self, x: Any, y: Any = None) -> None:
        """Add a (micro-)batch, as ``probe(x, y)`` would have got it."""
        self._batches += parts(x, y)


class Probe:
    """Stands around a step of ``model``; the base of every probe.

    A step is an optimiser step. Bodies that only add to gradients are micro-batches of the step that comes
    after them, and are measured with it. A body that neither steps nor computes gradients is a look, which
    counts as a step where a single moment is measured.
    """

    # Whether what is measured is the difference that a step makes.
    _needs_step: ClassVar[bool] = False
    _needs_batch: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        *,
        schedule: Schedule,
        layers: Layers | None = None,
        forward: Forward | None = None,
        loss_fn: LossFunction | None = None,
        autocast: Autocast | None = None,
    ) -> None:
        self._model = underlying(model)
        self._feed = Feed(forward=forward, loss_fn=loss_fn, autocast=autocast)
        self._chosen = choose(self._model, layers)
        self._log = Log(schedule)
        self._start: Any = None  # what _before returned for the step that is under way
        self._open = False
        self._batches: list[Batch] = []
        self._earlier: list[tuple[Tensor, Tensor]] = []
        self._unfinished = 0

    @contextmanager
    def __call__(self, x: Any = None, y: Any = None) -> Iterator[Given]:
        """Measure around the body, a step or a part of one, on its batch.

        ``x`` is the model's input: a tensor, a tuple of several, a mapping of named ones, or
        ``MicroBatches``; or whatever ``forward`` takes. ``y`` is the target.
        """
        batches = [] if x is None and y is None else parts(x, y)
        if not self._open and self._log.due() and not self._is_lazy():
            # Copies that a pass may change in place, also where the caller is in inference mode.
            with torch.inference_mode(False):
                self._start = self._before()
            self._open = True
        try:
            with Body(self._model, applied=self._applied, earlier=self._earlier) as body:
                yield Given(batches)
            if not body.accumulated:
                self._batches = []
            with torch.inference_mode(False):
                self._end(body, batches)
        except BaseException:
            self._forget()
            raise

    @property
    def step(self) -> int:
        """How many steps were taken so far, measured or not."""
        return self._log.steps

    @property
    def measured(self) -> int | None:
        """The last step that was measured, or None so far."""
        return self._log.measured

    def split(self, batch: Any) -> Batch:
        """Return a loader's batch as the (x, y) that this probe takes."""
        return self._feed.split(batch)

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement: step (from 1), layer, quantity, value."""
        if self._unfinished and not self._log.steps:
            warnings.warn(
                f"{self._unfinished} bodies computed gradients, and none took an optimiser step, so that "
                "nothing was measured; put the step into the body, or call probes.stepped() behind it",
                stacklevel=2,
            )
        return self._log.frame()

    def scalars(self) -> dict[str, float]:
        """Return the newest measured step's values by name, as loggers take them: ``log(scalars, step)``.

        Names are ``probe/layer/quantity``, for example ``activation_drift/layer1.0.conv1/input_std``.
        """
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        return {
            "/".join(part for part in (name, layer, quantity) if part): value
            for layer, quantity, value in self._log.newest()
        }

    def _is_lazy(self) -> bool:
        lazy = [name for name, p in self._model.named_parameters() if is_lazy(p)]
        lazy += [name for name, b in self._model.named_buffers() if is_lazy(b)]
        if lazy:
            warnings.warn(
                f"{', '.join(lazy[:3])}{' ...' if lazy[3:] else ''} of model have no shapes yet, so that the "
                "step that gives them some isn't measured; run one forward before training",
                stacklevel=4,
            )
        return bool(lazy)

    def _before(self) -> Any:
        """Return what is to be remembered of the moment before the step."""

    def _applied(self, parameters: list[Tensor]) -> None:
        """Look at the gradients of ``parameters``, which an optimiser applies now."""

    def _after(self, start: Any, batches: list[Batch]) -> list[Row]:
        """Return the rows of the step that was taken since ``_before``."""
        raise NotImplementedError

    def _end(self, body: Body, batches: list[Batch]) -> None:
        counts = body.outcome is Outcome.STEP or (body.outcome is Outcome.NOTHING and not self._needs_step)
        if counts:
            rows: list[Row] | None = None
            if self._open:
                rows = self._rows(self._batches + batches)
            self._log.count(rows)
            self._forget()
        elif body.outcome is Outcome.PART:
            self._unfinished += 1
            self._earlier = body.gradients_now()
            if self._open:
                self._batches += batches
        else:
            self._forget()

    def _rows(self, batches: list[Batch]) -> list[Row]:
        if self._needs_batch and not batches:
            raise ValueError("the probe got no batch for this step; allowed: probe(x, y) around it")
        return self._after(self._start, batches)

    def _forget(self) -> None:
        self._start, self._open, self._batches, self._earlier = None, False, [], []
