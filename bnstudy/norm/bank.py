"""Moving averages of many decays at once, from moments the layers compute anyway.

Without renorm the moving averages never enter the training forward or backward pass, so
that one trajectory of weights answers every decay. Each arm of the bank holds, bit for
bit, what a run of its own with that decay would hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.norm.checks import check_choice, check_decay
from bnstudy.norm.following import PLAIN, Averages, Moments, named_layers
from bnstudy.norm.kernel import BatchMoments, statistics_dtype
from bnstudy.norm.layer import BatchNorm
from bnstudy.norm.momentum import decay_from_momentum, momentum_from_decay

ZeroDebias = Literal["none", "mean", "both"]


@dataclass(frozen=True)
class Arm:
    """One way to average: a decay, and which moving averages start unbiased.

    ``zero_debias``: ``"none"`` starts the mean at 0 and the variance at 1 (TensorFlow's
    default); ``"mean"`` debiases the mean alone (``zero_debias_moving_mean=True``);
    ``"both"`` debiases mean and variance, which removes initialisation bias altogether.
    """

    decay: float
    zero_debias: ZeroDebias = "none"

    def __post_init__(self) -> None:
        check_decay(self.decay)
        check_choice("zero_debias", self.zero_debias, ("none", "mean", "both"))


class StatisticsBank:
    """The moving mean and variance of every arm, beside batch-norm layers in training.

    Call ``update()`` once after each training step's forwards. ``statistics(arm)`` gives that
    arm's values [2, C_total] (means, then variances; layers concatenated in order), and
    ``using(statistics)`` lends such values to the layers' moving averages.

    Each arm is, bit for bit, what the layers themselves would hold with its decay: with Bessel's correction
    where they have it, once for each forward of a layer that is called several times in a step, and
    nothing for one that is skipped, is in evaluation mode or has an empty batch. Of an
    ``updates="with_step"`` layer the last forward of a step counts, of an ``"after_step"`` layer those in the
    update pass. With batch renormalization the standard deviation is averaged and the average squared,
    as TensorFlow 1.13 and later do.

    PyTorch's layers cost a forward of the layer for each arm. Those of this package cost next to nothing.

    Args:
        layers: a list of ``BatchNorm``, ``nn.BatchNorm1d/2d/3d`` and ``SyncBatchNorm`` layers, or a model,
            for all of its batch-norm layers.
        arms: each once.

    Raises ``TypeError`` or ``ValueError``, by the layer's name, for one that it can't follow: a subclass, a
    lazy layer, one without running statistics, renorm as in TensorFlow 1.12 or in half precision, another
    device or dtype than the first one's.
    """

    _began: bool
    _followers: list[Moments | Averages]

    def __init__(self, layers: Sequence[nn.Module] | nn.Module, arms: Sequence[Arm]) -> None:
        named = named_layers(layers)
        if not named:
            raise ValueError("layers is empty; allowed: at least one BatchNorm layer")
        if len(set(arms)) != len(arms):
            raise ValueError(f"arms is {list(arms)}; allowed: each arm once")
        self.layers = [_followed(name, layer) for name, layer in named.items()]
        self.names = list(named)
        self.arms = list(arms)
        self._check_alike()
        device = self.layers[0].running_mean.device  # type: ignore[union-attr]
        # On the device like all the rest, so that a CUDA graph can hold an update.
        self._steps = torch.zeros(len(self.layers), dtype=torch.int64, device=device)
        initial = torch.stack(
            [gather(self.layers, "running_mean"), torch.cat([_spread(m) for m in self.layers])]
        )
        debiased = torch.tensor(
            [[a.zero_debias != "none", a.zero_debias == "both"] for a in arms], device=device
        ).reshape(len(arms), 2, 1)
        self._debiased = debiased
        # A debiased average starts at zero and is divided by 1 - decay**steps when read.
        self._initial = torch.where(debiased, torch.zeros_like(initial), initial)
        self._values = self._initial.clone()
        self._rate = torch.tensor([1.0 - a.decay for a in arms], dtype=torch.float64, device=device)
        self._rate = self._rate.to(statistics_dtype(initial.dtype)).reshape(-1, 1, 1)
        self._follow()

    @property
    def steps(self) -> int:
        """The number of batches absorbed, by the layer that has absorbed most."""
        return int(self._steps.max())

    def reset(self) -> None:
        """Forget every batch."""
        self._values.copy_(self._initial)
        self._steps.zero_()
        self.forget()

    def forget(self) -> None:
        """Forget the forwards since the last ``update()``: they were no training."""
        for follower in self._followers:
            follower.skip()

    @torch.no_grad()
    def update(self) -> None:
        """Absorb the layers' batch moments: ``value -= (value - batch) * (1 - decay)``.

        Raises ``RuntimeError`` before the first forward in training mode.
        """
        news = [follower.take() for follower in self._followers]
        self._began = self._began or any(news) or not any(_misses(layer) for layer in self.layers)
        if not self._began:
            raise RuntimeError("no batch moments yet; run a forward in training mode first")
        batches = [_counted(layer, new) for layer, new in zip(self.layers, news, strict=True)]
        if all(isinstance(batch, list) and len(batch) == 1 for batch in batches):
            once = [_absorbed(layer, batch[0]) for layer, batch in zip(self.layers, batches, strict=True)]
            batch = torch.cat([mean for mean, _ in once] + [spread for _, spread in once]).reshape(2, -1)
            self._values.sub_((self._values - batch) * self._rate)
            self._steps += 1
            return
        for i, (layer, values, new) in enumerate(
            zip(self.layers, self._parts(self._values), batches, strict=True)
        ):
            if isinstance(new, list):
                for moments in new:
                    values.sub_((values - torch.stack(_absorbed(layer, moments))) * self._rate)
                self._steps[i] += len(new)
            elif new is not None:
                values.copy_(new[0])
                self._steps[i] += new[1]

    @torch.no_grad()
    def statistics(self, arm: Arm) -> Tensor:
        """Return the moving mean and variance of ``arm``: [2, C_total], a copy."""
        try:
            index = self.arms.index(arm)
        except ValueError:
            raise ValueError(f"arm is {arm}; allowed: one of {self.arms}") from None
        values = self._values[index].clone()
        if arm.zero_debias != "none":
            values = torch.where(self._debiased[index], values / self._unbias(arm), values)
        for layer, part in zip(self.layers, self._parts(values), strict=True):
            if isinstance(layer, BatchNorm) and layer.renorm:
                part[1] = (part[1].square() - layer.epsilon).clamp(min=0.0)
        return values

    def using(self, statistics: Tensor) -> AbstractContextManager[None]:
        """Return a context in which the layers' moving averages are ``statistics`` [2, C_total]."""
        return using(self.layers, statistics)

    def state_dict(self) -> dict[str, Any]:
        """Return the arms, what they hold, and where they began."""
        return {
            "arms": [(arm.decay, arm.zero_debias) for arm in self.arms],
            "layers": [
                (name, layer.num_features) for name, layer in zip(self.names, self.layers, strict=True)
            ],
            "values": self._values.clone(),
            "initial": self._initial.clone(),
            "steps": self._steps.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned; ``ValueError`` if arms or layers are others."""
        own = self.state_dict()
        for key in ("arms", "layers"):
            theirs = [tuple(entry) for entry in state[key]]
            if theirs != own[key]:
                raise ValueError(f"state has the {key} {theirs}; allowed: this bank's, {own[key]}")
        self._values.copy_(state["values"])
        self._initial.copy_(state["initial"])
        self._steps.copy_(state["steps"])
        self.forget()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_followers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._follow()

    def _follow(self) -> None:
        self._began = False
        self._followers = []
        parts = self._parts(self._values)
        for name, layer, values in zip(self.names, self.layers, parts, strict=True):
            if isinstance(layer, BatchNorm):
                self._followers.append(Moments(layer, name))
            else:
                momenta = [_momentum(layer, arm.decay) for arm in self.arms]
                self._followers.append(Averages(layer, momenta, values.clone))

    def _parts(self, values: Tensor) -> tuple[Tensor, ...]:
        return torch.split(values, [layer.num_features for layer in self.layers], dim=-1)

    def _unbias(self, arm: Arm) -> float | Tensor:
        steps = self._steps.tolist()
        missing = [name for name, count in zip(self.names, steps, strict=True) if count == 0]
        if missing:
            raise ValueError(f"arm {arm} has absorbed no batch yet in {missing}; call update() first")
        each = [float(1.0 - arm.decay**count) for count in steps]
        if len(set(steps)) == 1:
            return each[0]
        sizes = torch.tensor([layer.num_features for layer in self.layers])
        unbias = torch.tensor(each, dtype=torch.float64).repeat_interleave(sizes)
        return unbias.to(self._rate.device, self._rate.dtype)

    def _check_alike(self) -> None:
        kinds = {name: _kind(layer) for name, layer in zip(self.names, self.layers, strict=True)}
        first = kinds[self.names[0]]
        for name, kind in kinds.items():
            if kind != first:
                raise ValueError(
                    f"{name} has averages in {kind[1]} on {kind[0]}; allowed: {first[1]} on {first[0]}, "
                    f"as {self.names[0]} has"
                )


def gather(layers: Sequence[_BatchNorm], name: str) -> Tensor:
    """Concatenate one buffer of every layer: [C_total]."""
    return torch.cat([getattr(layer, name) for layer in layers])


@contextmanager
def using(layers: Sequence[_BatchNorm], statistics: Tensor) -> Iterator[None]:
    """Lend ``statistics`` [2, C_total] to the layers' moving averages, and take them back.

    What the layers count meanwhile is taken back, too.
    """
    pairs = [_own(layer) for layer in layers]
    kept = [(mean.clone(), variance.clone()) for mean, variance in pairs]
    counts = [(count, count.clone()) for layer in layers if (count := layer.num_batches_tracked) is not None]
    lent = torch.split(statistics, [layer.num_features for layer in layers], dim=-1)
    try:
        _fill(pairs, lent)
        yield
    finally:
        _fill(pairs, kept)
        for count, before in counts:
            count.copy_(before)


@torch.no_grad()
def _fill(pairs: Sequence[tuple[Tensor, Tensor]], values: Sequence[Tensor | tuple[Tensor, Tensor]]) -> None:
    for (mean, variance), (new_mean, new_variance) in zip(pairs, values, strict=True):
        mean.copy_(new_mean)
        variance.copy_(new_variance)


def _own(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var


def _followed(name: str, layer: nn.Module) -> _BatchNorm:
    """Return ``layer``, or raise by its name if a bank can't follow it."""
    kind = type(layer).__name__
    if not isinstance(layer, BatchNorm) and type(layer) not in PLAIN:
        raise TypeError(
            f"{name} is a {kind}; allowed: BatchNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, "
            "nn.SyncBatchNorm, and no subclass of PyTorch's"
        )
    assert isinstance(layer, _BatchNorm)
    if layer.running_mean is None:
        raise ValueError(f"{name} is a {kind} without running statistics; allowed: layers that track them")
    if isinstance(layer, BatchNorm) and layer.renorm and layer.renorm_algorithm != "tf1.15":
        raise ValueError(f"{name} has renorm_algorithm {layer.renorm_algorithm!r}; allowed: 'tf1.15'")
    if isinstance(layer, BatchNorm) and layer.renorm and layer.moving_mean.dtype.itemsize < 4:
        raise ValueError(f"{name} has renorm in {layer.moving_mean.dtype}; allowed: float32 or better")
    return layer


def _kind(layer: _BatchNorm) -> tuple[torch.device, torch.dtype]:
    mean, _ = _own(layer)
    return mean.device, mean.dtype


def _spread(layer: _BatchNorm) -> Tensor:
    renorm = isinstance(layer, BatchNorm) and layer.renorm
    spread: Tensor = layer.moving_stddev if renorm else layer.running_var  # type: ignore[assignment]
    return spread


def _misses(layer: _BatchNorm) -> bool:
    """Return whether ``layer``, of which nothing was heard, should have had a forward."""
    waits = isinstance(layer, BatchNorm) and layer.updates == "after_step" and layer.batch_moments is not None
    return layer.training and not waits


def _momentum(layer: _BatchNorm, decay: float) -> float:
    # Several momenta mean a decay of 0.9, each with bits of its own: the layer's, or else 0.1, as one writes.
    exact = momentum_from_decay(decay)
    written = (layer.momentum, round(exact, 15))
    return next((m for m in written if m is not None and decay_from_momentum(m) == decay), exact)


def _counted(layer: _BatchNorm, new: Any) -> Any:
    """Return the list of moments that a ``BatchNorm`` would absorb; of others, what they averaged."""
    if not isinstance(layer, BatchNorm):
        return new
    return [batch for batch in (new[-1:] if layer.updates == "with_step" else new) if batch.count]


def _absorbed(layer: _BatchNorm, batch: BatchMoments) -> tuple[Tensor, Tensor]:
    """Return the mean and the spread [C] that the averages of ``layer`` would absorb."""
    assert isinstance(layer, BatchNorm)
    if layer.renorm:
        return batch.mean, (batch.variance + layer.epsilon).sqrt()
    if layer.fused:
        return batch.mean, batch.variance * (batch.count / max(batch.count - 1, 1))
    return batch.mean, batch.variance
