"""Moving averages of many decays at once, from moments the layers compute anyway.

Without renorm the moving averages never enter the training forward or backward pass, so
that one trajectory of weights answers every decay. Each arm of the bank holds, bit for
bit, what a run of its own with that decay would hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bnstudy.norm.layer import BatchNorm

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


class StatisticsBank:
    """The moving mean and variance of every arm, beside a list of ``BatchNorm`` layers.

    Call ``update()`` once after each training forward. ``statistics(arm)`` gives that
    arm's values [2, C_total] (means, then variances; layers concatenated in order), and
    ``using(statistics)`` lends such values to the layers' moving averages.

    Layers with batch renormalization average the standard deviation and square the average, as
    TensorFlow 1.13 and later do.
    """

    def __init__(self, layers: Sequence[BatchNorm], arms: Sequence[Arm]) -> None:
        if not layers:
            raise ValueError("layers is empty; allowed: at least one BatchNorm layer")
        if len(set(arms)) != len(arms):
            raise ValueError(f"arms is {list(arms)}; allowed: each arm once")
        if len({(layer.renorm, layer.epsilon) for layer in layers}) > 1:
            raise ValueError("layers differ in renorm or epsilon; allowed: layers that are alike")
        self.layers = list(layers)
        self.arms = list(arms)
        device = layers[0].moving_mean.device
        # On the device like all the rest, so that a CUDA graph can hold an update.
        self._steps = torch.zeros((), dtype=torch.int64, device=device)
        self._renorm_epsilon = layers[0].epsilon if layers[0].renorm else None
        spread = "moving_variance" if self._renorm_epsilon is None else "moving_stddev"
        initial = torch.stack([gather(layers, "moving_mean"), gather(layers, spread)])
        debiased = torch.tensor(
            [[a.zero_debias != "none", a.zero_debias == "both"] for a in arms], device=device
        ).reshape(len(arms), 2, 1)
        self._debiased = debiased
        # A debiased average starts at zero and is divided by 1 - decay**steps when read.
        self._initial = torch.where(debiased, torch.zeros_like(initial), initial)
        self._values = self._initial.clone()
        self._rate = torch.tensor([1.0 - a.decay for a in arms], dtype=torch.float64, device=device)
        self._rate = self._rate.to(initial.dtype).reshape(-1, 1, 1)

    @property
    def steps(self) -> int:
        """The number of batches absorbed."""
        return int(self._steps)

    def reset(self) -> None:
        """Forget every batch."""
        self._values.copy_(self._initial)
        self._steps.zero_()

    @torch.no_grad()
    def update(self) -> None:
        """Absorb the layers' last batch moments: ``value -= (value - batch) * (1 - decay)``."""
        batch = batch_moments(self.layers)
        if self._renorm_epsilon is not None:
            batch[1] = (batch[1] + self._renorm_epsilon).sqrt()
        self._values.sub_((self._values - batch) * self._rate)
        self._steps += 1

    @torch.no_grad()
    def statistics(self, arm: Arm) -> Tensor:
        """Return the moving mean and variance of ``arm``: [2, C_total], a copy."""
        try:
            index = self.arms.index(arm)
        except ValueError:
            raise ValueError(f"arm is {arm}; allowed: one of {self.arms}") from None
        values = self._values[index].clone()
        if arm.zero_debias != "none":
            steps = self.steps
            if steps == 0:
                raise ValueError(f"arm {arm} has absorbed no batch yet; call update() first")
            values = torch.where(self._debiased[index], values / (1.0 - arm.decay**steps), values)
        if self._renorm_epsilon is not None:
            values[1] = (values[1].square() - self._renorm_epsilon).clamp(min=0.0)
        return values

    def using(self, statistics: Tensor) -> AbstractContextManager[None]:
        """Return a context in which the layers' moving averages are ``statistics`` [2, C_total]."""
        return using(self.layers, statistics)


def gather(layers: Sequence[BatchNorm], name: str) -> Tensor:
    """Concatenate one buffer of every layer: [C_total]."""
    return torch.cat([getattr(layer, name) for layer in layers])


def batch_moments(layers: Sequence[BatchNorm]) -> Tensor:
    """Concatenate the layers' last batch moments: [2, C_total], means then variances."""
    moments = [layer.batch_moments for layer in layers]
    if any(m is None for m in moments):
        raise RuntimeError("a BatchNorm layer has no batch moments yet; run a forward in training mode first")
    flat = torch.cat([m.mean for m in moments if m] + [m.variance for m in moments if m])
    return flat.reshape(2, -1)


@contextmanager
def using(layers: Sequence[BatchNorm], statistics: Tensor) -> Iterator[None]:
    """Lend ``statistics`` [2, C_total] to the layers' moving averages, and take them back."""
    kept = [(layer.moving_mean.clone(), layer.moving_variance.clone()) for layer in layers]
    try:
        _assign(layers, statistics)
        yield
    finally:
        for layer, (mean, variance) in zip(layers, kept, strict=True):
            layer.moving_mean.copy_(mean)
            layer.moving_variance.copy_(variance)


def _assign(layers: Sequence[BatchNorm], statistics: Tensor) -> None:
    sizes = [layer.num_features for layer in layers]
    means, variances = torch.split(statistics[0], sizes), torch.split(statistics[1], sizes)
    for layer, mean, variance in zip(layers, means, variances, strict=True):
        layer.moving_mean.copy_(mean)
        layer.moving_variance.copy_(variance)
