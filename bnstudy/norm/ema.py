"""Exponential moving averages with TensorFlow 1's warm-up and zero-debias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bnstudy.norm.checks import check_decay


def effective_decay(decay: float, num_updates: float | None) -> float:
    """Return ``min(decay, (1 + n) / (10 + n))``, or ``decay`` without a count of updates.

    Source: ``tf.train.ExponentialMovingAverage``.
    """
    if num_updates is None:
        return decay
    return min(decay, (1.0 + num_updates) / (10.0 + num_updates))


def moved(average: Tensor, value: Tensor, decay: float) -> Tensor:
    """Return ``average - (average - value) * (1 - decay)``.

    Source: ``tf.python.training.moving_averages.assign_moving_average``.
    """
    return average - (average - value) * (1.0 - decay)


class ExponentialMovingAverage:
    """Moving averages of named values: ``shadow -= (1 - decay) * (shadow - value)``.

    A *variable*, named once with ``track``, starts at the value it has then. Any other *tensor*
    starts at 0, and only for those does ``zero_debias`` divide by ``1 - decay**t``. ``num_updates``
    (here or per ``apply``) lowers the decay early on to ``(1 + n) / (10 + n)``; with zero-debias the
    divisor uses the current decay's power, as TensorFlow's does.

    Raises ``ValueError`` for a decay outside [0, 1] (TensorFlow 1 does not).

    Source: ``tf.train.ExponentialMovingAverage``.
    """

    def __init__(self, decay: float, num_updates: float | None = None, zero_debias: bool = False) -> None:
        self.decay = check_decay(decay)
        self.num_updates = num_updates
        self.zero_debias = zero_debias
        self._shadows: dict[str, Tensor] = {}
        self._biased: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}

    @torch.no_grad()
    def track(self, variables: Mapping[str, Tensor]) -> None:
        """Start an average at the current value of each variable; ``ValueError`` if it has one."""
        for name, variable in variables.items():
            if name in self._shadows:
                raise ValueError(
                    f"variables has {name!r}, which has a moving average; allowed: each name once"
                )
            _check_floating(name, variable)
            self._shadows[name] = variable.detach().clone()

    @torch.no_grad()
    def apply(self, values: Mapping[str, Tensor], num_updates: float | None = None) -> None:
        """Absorb one value of each name; names that were not tracked start at 0.

        Raises ``TypeError`` for a value that is not floating point.
        """
        decay = effective_decay(self.decay, self.num_updates if num_updates is None else num_updates)
        for name, value in values.items():
            _check_floating(name, value)
            if name not in self._shadows:
                self._shadows[name] = torch.zeros_like(value)
                if self.zero_debias:
                    self._biased[name] = torch.zeros_like(value)
                    self._steps[name] = 0
            if name in self._biased:
                self._steps[name] += 1
                self._biased[name] = moved(self._biased[name], value, decay)
                unbias = torch.as_tensor(1.0 - decay ** self._steps[name], dtype=value.dtype)
                self._shadows[name] = self._biased[name] / unbias.to(value.device)
            else:
                self._shadows[name] = moved(self._shadows[name], value, decay)

    def average(self, name: str) -> Tensor | None:
        """Return the moving average of ``name``, a copy, or None if there is none."""
        shadow = self._shadows.get(name)
        return None if shadow is None else shadow.clone()

    def state_dict(self) -> dict[str, Any]:
        """Return the averages and their step counts."""
        return {"shadows": dict(self._shadows), "biased": dict(self._biased), "steps": dict(self._steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        self._shadows = {k: v.clone() for k, v in state["shadows"].items()}
        self._biased = {k: v.clone() for k, v in state["biased"].items()}
        self._steps = dict(state["steps"])


def _check_floating(name: str, value: Tensor) -> None:
    if not value.is_floating_point():
        raise TypeError(f"{name} has dtype {value.dtype}; allowed: floating point")
