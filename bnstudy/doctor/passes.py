"""Passes through a model with other statistics, which leave no trace: the measurements of a diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.doctor.answers import Grader
from bnstudy.doctor.batches import moved
from bnstudy.doctor.layers import NAMES, is_batch_norm, moves, named_batch_norms
from bnstudy.doctor.progress import Progress
from bnstudy.norm import BatchNorm
from bnstudy.norm.precise import PooledMoments
from bnstudy.probes.calls import intercepted
from bnstudy.probes.forward import Feed, Forward
from bnstudy.probes.moment import Moment
from bnstudy.probes.units import moments_by_unit

Moments = tuple[Tensor, Tensor]  # mean and population variance [C], float64 on the CPU
Statistics = Mapping[nn.Module, Moments]


class SingleValueError(ValueError):
    """A layer that normalises by the batch gets a single value a channel, which has no variance."""


@dataclass(frozen=True)
class Precise:
    """Precise statistics by layer; and of how many batches there are none, with the reason for the first."""

    statistics: Statistics
    left_out: int
    why: str | None


class Passes:
    """Runs a model on batches as it is now, with statistics of choice.

    Made and used inside ``undisturbed(model)``.
    """

    def __init__(
        self, model: nn.Module, forward: Forward | None, device: torch.device | None, progress: Progress
    ) -> None:
        self.model, self._device, self._progress = model, device, progress
        self._own_forward, self._feed = forward is not None, Feed(forward=forward)
        self._moment = Moment(model)
        # Those with statistics to exchange, by name.
        self.layers = {
            name: module
            for name, module in named_batch_norms(model)
            if moves(module) and buffer(module, "mean") is not None and buffer(module, "variance") is not None
        }

    def expect(self, passes: int) -> None:
        """Announce more passes than were expected."""
        self._progress.expect(passes)

    def output(self, batch: Any) -> tuple[Any, Any]:
        """Return output and target of one batch, in evaluation mode."""
        result: tuple[Any, Any] = self._run(lambda model: self._one(model.eval(), batch))
        return result

    def grade(self, batches: Iterable[Any], statistics: Statistics | None, grader: Grader) -> Grader:
        """Grade ``batches`` in evaluation mode, with these statistics for the model's."""

        def body(model: nn.Module) -> None:
            model.eval()
            for module, (mean, variance) in (statistics or {}).items():
                _write(module, mean, variance)
            for batch in batches:
                grader.add(*self._one(model, batch))

        self._run(body)
        return grader

    def grade_by_batch(self, batches: Iterable[Any], grader: Grader) -> int:
        """Grade with each batch normalised by its own statistics, everything else evaluating.

        Returns how many batches could be: not one in which a layer gets a single value a channel.
        """
        graded = 0

        def body(model: nn.Module) -> None:
            nonlocal graded
            model.eval()
            self._normalise_by_batch()
            for batch in batches:
                with suppress(SingleValueError):
                    grader.add(*self._one(model, batch))
                    graded += 1

        with intercepted(self.model, _checked):
            self._run(body)
        return graded

    def precise(self, batches: Iterable[Any], training: bool) -> Precise:
        """Return the moments of all values that reach each layer on ``batches`` together.

        Every batch is normalised by its own statistics. ``training`` puts the whole model in training mode,
        so that dropout is on; else only the batch norms are. A batch in which a layer gets a single value a
        channel has no variance there, as PyTorch says by an error, and is left out.
        """
        pools: dict[nn.Module, PooledMoments] = {}
        batch_moments: list[tuple[nn.Module, Tensor, Tensor, float]] = []
        wanted = set(self.layers.values())
        left_out: list[str] = []

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            values = _values(module, args, kwargs)
            if values is not None and module in wanted and values[0].numel():
                x, axis = values
                mean, variance = moments_by_unit(x.detach(), axis)
                batch_moments.append((module, mean.cpu(), variance.cpu(), x.numel() / x.shape[axis]))
            return _checked(module, forward, *args, **kwargs)

        def body(model: nn.Module) -> None:
            model.train(training)
            self._normalise_by_batch()
            for batch in batches:
                batch_moments.clear()
                try:
                    self._one(model, batch, grade=False)
                except SingleValueError as error:
                    left_out.append(str(error))
                    continue
                for module, mean, variance, count in batch_moments:
                    pools.setdefault(module, PooledMoments()).add(mean, variance, count)

        with intercepted(self.model, around):
            self._run(body)
        statistics = {module: pool.statistics() for module, pool in pools.items()}
        found = {module: (mean, variance) for module, (mean, variance) in statistics.items()}
        return Precise(found, len(left_out), left_out[0] if left_out else None)

    def draws(self, batches: Iterable[Any]) -> bool:
        """Return whether a forward in training mode draws random numbers, as dropout does.

        By the first of ``batches`` that the model can be trained on.
        """
        changed = False

        def body(model: nn.Module) -> None:
            nonlocal changed
            model.train()
            for batch in batches:
                before = _generators()
                with suppress(SingleValueError):
                    self._one(model, batch, grade=False)
                    changed = before != _generators()
                    return

        with intercepted(self.model, _checked):
            self._run(body)
        return changed

    def _normalise_by_batch(self) -> None:
        for module in self.model.modules():
            if isinstance(module, (_BatchNorm, BatchNorm)) or module in self.layers.values():
                module.training = True

    def _one(self, model: nn.Module, batch: Any, grade: bool = True) -> tuple[Any, Any]:
        self._progress.step()
        batch = moved(batch, self._device)
        if self._own_forward or not isinstance(batch, (tuple, list)) or len(batch) != 2:
            if grade and not self._own_forward:
                raise ValueError(
                    f"a batch is a {type(batch).__name__}; allowed: (x, y), or a forward(model, batch) that "
                    "returns (output, target)"
                )
            return self._feed.outcome(model, batch)
        return self._feed.outcome(model, batch[0], batch[1])

    def _run(self, body: Callable[[nn.Module], Any]) -> Any:
        with torch.no_grad():
            return self._moment.run(self._moment.weights, body)


def buffer(module: nn.Module, kind: str) -> Tensor | None:
    """Return a layer's running mean or variance, by either of its names."""
    for name in NAMES[kind]:
        value = getattr(module, name, None)
        if isinstance(value, Tensor):
            return value
    return None


def _values(module: nn.Module, args: Any, kwargs: Any) -> tuple[Tensor, int] | None:
    """Return what a batch-norm layer is called with, and its channels' axis; None of other modules."""
    if not is_batch_norm(module):
        return None
    x = args[0] if args else next(iter(kwargs.values()), None)
    if not isinstance(x, Tensor) or x.dim() < 2:
        return None
    return x, x.dim() - 1 if getattr(module, "data_format", "NCHW") == "NHWC" else 1


def _checked(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    values = _values(module, args, kwargs) if module.training and moves(module) else None
    if values is not None and values[0].numel() == values[0].shape[values[1]]:
        raise SingleValueError(
            f"a {type(module).__name__} gets a single value a channel, which has no variance"
        )
    return forward(*args, **kwargs)


def _write(module: nn.Module, mean: Tensor, variance: Tensor) -> None:
    for kind, value in (("mean", mean), ("variance", variance)):
        target = buffer(module, kind)
        assert target is not None
        target.copy_(value.to(target))


def _generators() -> list[bytes]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states += torch.cuda.get_rng_state_all()
    return [state.numpy().tobytes() for state in states]
