"""What happened to a model in a body: an optimiser step, a part of one, or nothing.

::

    with Body(model) as body:
        ...                    # the user's own code
    body.outcome               # Outcome.STEP, PART, SKIPPED or NOTHING

A step is one of a ``torch.optim.Optimizer`` over any of the model's parameters, or a change of one of them.
``stepped()`` says so where neither can be seen.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from bnstudy.probes.calls import version_of

# Tensors up to this size are kept, to see what versions don't show.
_SMALL = 1024
_COPIES = 8


class Outcome(enum.Enum):
    """What a body did: ``PART`` is a micro-batch of an accumulated step, ``SKIPPED`` what a scaler skips."""

    STEP = "step"
    PART = "part"
    SKIPPED = "skipped"
    NOTHING = "nothing"


class Body:
    """Watches the code that runs in this context for optimiser steps of ``model``.

    ``applied(parameters)`` is called with the model's parameters at each optimiser step, while they have
    the gradients that it uses. ``accumulated`` says whether gradients that were there before (``earlier``,
    from ``gradients_now``) were still part of the step.

    Cost: a look at every parameter's version; no pass over values.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        applied: Callable[[list[Tensor]], None] | None = None,
        earlier: list[tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self._parameters = list(model.parameters())
        self._applied = applied
        self._earlier = earlier or []
        self._stepped = False
        self.accumulated = True
        self.outcome = Outcome.NOTHING

    def __enter__(self) -> Self:
        known = [p for p in self._parameters if not is_lazy(p)]
        self._versions = [version_of(p) for p in known]
        small = sorted((p for p in known if p.requires_grad), key=Tensor.numel)[:_COPIES]
        self._copies = [(p, p.detach().clone()) for p in small]
        self._gradients = [_mark(p.grad) for p in known]
        self._known = known
        self._computed = False
        self._handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        for parameter in small:
            if parameter.is_leaf:
                handle = parameter.register_post_accumulate_grad_hook(self._note_gradient)  # type: ignore[no-untyped-call]
                self._handles.append(handle)
        _open.append(self)
        return self

    def __exit__(self, *raised: object) -> None:
        _open.remove(self)
        for handle in self._handles:
            handle.remove()
        if raised[0] is None:
            self.outcome = self._outcome()

    def gradients_now(self) -> list[tuple[Tensor, Tensor]]:
        """Return small gradients with their parameters, to tell later whether they are still added to."""
        return [(p, p.grad) for p in self._parameters if p.grad is not None and p.grad.numel() <= _SMALL] or [
            (p, p.grad) for p in self._parameters[:1] if p.grad is not None
        ]

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if mine := self._of(optimizer):
            self._look_back()
            if not _comes_later(optimizer, args, kwargs) and self._applied is not None:
                self._applied(mine)

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        mine = self._of(optimizer)
        # A fused optimiser is called by the scaler in any case, and skips the step itself.
        found_inf = getattr(optimizer, "found_inf", None)
        if not mine or (found_inf is not None and bool(found_inf)):
            return
        self._stepped = True
        if _comes_later(optimizer, args, kwargs) and self._applied is not None:
            self._applied(mine)

    def _of(self, optimizer: Optimizer) -> list[Tensor]:
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        return [p for p in self._parameters if id(p) in own]

    def _look_back(self) -> None:
        now = [(p.grad, gradient) for p, gradient in self._earlier if p.grad is not None]
        if self._earlier:
            self.accumulated = not now or any(a is b for a, b in now)
            self._earlier = []

    def _outcome(self) -> Outcome:
        if self._stepped or self._changed():
            self._look_back()
            return Outcome.STEP
        gradients = [p.grad for p in self._known]
        marks = zip(gradients, self._gradients, strict=True)
        there = [g for g in gradients if g is not None]
        if not self._computed and (not there or all(_same(gradient, mark) for gradient, mark in marks)):
            return Outcome.NOTHING
        # What a scaler skips isn't finite, or is cleared already.
        return Outcome.PART if there and all(map(_is_finite, there)) else Outcome.SKIPPED

    def _note_gradient(self, parameter: Tensor) -> None:
        self._computed = True

    def _changed(self) -> bool:
        if any(version_of(p) != v for p, v in zip(self._known, self._versions, strict=True)):
            return True
        return any(not torch.equal(p, copy) for p, copy in self._copies)


_open: list[Body] = []


def stepped() -> None:
    """Say that an optimiser step was taken, to the probes around the code that calls this.

    Needed only where neither a ``torch.optim.Optimizer`` steps nor a parameter is sure to change: a
    handwritten step that may be zero, for example.
    """
    for body in _open:
        body._stepped = True


def _comes_later(optimizer: Optimizer, args: Any, kwargs: Any) -> bool:
    """Whether the step's gradients are those behind the step: computed, or unscaled, within it."""
    closure = kwargs.get("closure") is not None or any(callable(a) for a in args if a is not optimizer)
    return closure or getattr(optimizer, "grad_scale", None) is not None


def _is_finite(gradient: Tensor) -> bool:
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return bool(values.isfinite().all())


Mark = tuple[Tensor | None, int, int] | None


def _mark(gradient: Tensor | None) -> Mark:
    if gradient is None:
        return None
    return (gradient if gradient.numel() <= _SMALL else None, id(gradient), version_of(gradient))


def _same(gradient: Tensor | None, mark: Mark) -> bool:
    if gradient is None or mark is None:
        return gradient is None and mark is None
    return (id(gradient), version_of(gradient)) == mark[1:]
