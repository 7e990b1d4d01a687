"""What a model answers on batches: loss and accuracy image by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bnstudy.doctor.paired import Values

LossFunction = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Answers:
    """Losses [n] and accuracies [n]; n counts ``unit``: images, or batches where the loss is of a batch.

    ``accuracy`` is None where targets aren't classes. ``broken`` [n] marks what isn't finite (loss NaN).
    """

    loss: Values
    accuracy: Values | None
    broken: Values
    unit: str

    def mean_loss(self) -> float:
        """Return the mean over what is finite; NaN if nothing is."""
        finite = self.loss[self.broken == 0]
        return float(finite.mean()) if len(finite) else float("nan")

    def mean_accuracy(self) -> float | None:
        """Return the share that is right."""
        return None if self.accuracy is None else float(self.accuracy.mean())


class Grader:
    """Turns outputs and targets into ``Answers``.

    Raises ``ValueError`` without a ``loss_fn`` unless outputs are [N, C] and targets whole numbers [N].
    """

    def __init__(self, loss_fn: LossFunction | None) -> None:
        self._loss_fn = loss_fn
        self._losses: list[Values] = []
        self._accuracies: list[Values] = []
        self._broken: list[Values] = []
        self._single = True

    def add(self, output: Any, target: Any) -> None:
        """Grade a batch."""
        losses = self._graded(output, target)
        right = accuracy(output, target)
        n = len(losses)
        broken = ~torch.isfinite(losses)
        if isinstance(output, Tensor) and output.shape[:1] == (n,):
            broken |= ~output.detach().reshape(n, -1).isfinite().all(dim=1).cpu()
        if right is not None and len(right) == n:
            self._accuracies.append(_array(right * ~broken))
        elif right is not None:
            # A loss of a whole batch pairs with the batch's accuracy.
            self._accuracies.append(_array(right.mean().reshape(1)))
        self._losses.append(_array(torch.where(broken, torch.nan, losses.double())))
        self._broken.append(_array(broken.double()))

    def answers(self) -> Answers:
        """Return all graded batches."""
        loss, broken = np.concatenate(self._losses), np.concatenate(self._broken)
        whole = len(self._accuracies) == len(self._losses)
        unit = "images" if self._single else "batches"
        return Answers(loss, np.concatenate(self._accuracies) if whole else None, broken, unit)

    def _graded(self, output: Any, target: Any) -> Tensor:
        if self._loss_fn is None:
            check_classes(output, target)
            return F.cross_entropy(output.detach().float(), target, reduction="none").cpu()
        loss = self._loss_fn(output, target)
        if not isinstance(loss, Tensor):
            raise TypeError(f"loss_fn returned a {type(loss).__name__}; allowed: a tensor")
        loss = loss.detach().float().cpu()
        n = output.shape[0] if isinstance(output, Tensor) and output.dim() else 0
        if loss.dim() >= 1 and loss.shape[0] == n:
            return loss.reshape(n, -1).mean(dim=1)
        if loss.numel() != 1:
            raise ValueError(f"loss_fn gave {tuple(loss.shape)}; allowed: one number, or one an image")
        single = self._one_by_one(output, target, n)
        # A mean over images is taken apart; what depends on the batch as a whole stays whole.
        if (
            self._single
            and single is not None
            and torch.allclose(single.mean(), loss.reshape(()), 1e-3, 1e-5)
        ):
            return single
        self._single = False
        return loss.reshape(1)

    def _one_by_one(self, output: Any, target: Any, n: int) -> Tensor | None:
        assert self._loss_fn is not None
        if not self._single or not isinstance(target, Tensor) or n < 2 or target.shape[:1] != (n,):
            return None
        try:
            losses = [self._loss_fn(output[i : i + 1], target[i : i + 1]) for i in range(n)]
        except (RuntimeError, ValueError):
            return None
        return torch.stack([loss.detach().float().cpu().reshape(()) for loss in losses])


def check_classes(output: Any, target: Any) -> None:
    """Raise ``ValueError`` unless outputs are [N, C] and targets whole numbers [N]."""
    fits = (
        isinstance(output, Tensor)
        and isinstance(target, Tensor)
        and output.dim() == 2
        and not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)
        and target.shape == output.shape[:1]
    )
    if not fits:
        raise ValueError(
            f"loss_fn is None, with an output of {_kind(output)} and a target of {_kind(target)}; "
            f"allowed: outputs "
            "[N, C] and whole-number targets [N], or a loss_fn(output, target)"
        )


def accuracy(output: Any, target: Any) -> Tensor | None:
    """Return the share of right answers of each image [N], or None where targets aren't classes."""
    if not isinstance(output, Tensor) or not isinstance(target, Tensor) or output.dim() < 2:
        return None
    whole = not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)
    if not whole or target.shape != output.shape[:1] + output.shape[2:]:
        return None
    right = output.detach().argmax(dim=1) == target
    return right.reshape(len(right), -1).double().mean(dim=1).cpu()


def _array(values: Tensor) -> Values:
    return values.detach().double().cpu().numpy()


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"shape {list(value.shape)} ({str(value.dtype).removeprefix('torch.')})"
    return type(value).__name__
