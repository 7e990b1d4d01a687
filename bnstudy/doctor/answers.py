"""What a model answers on batches: loss and accuracy, image by image where the loss can be taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from bnstudy.doctor.classes import (
    NotClasses,
    check_scores,
    counted,
    ignored_of,
    is_whole,
    rewards_classes,
    right_answers,
)
from bnstudy.doctor.paired import Values

LossFunction = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Answers:
    """Losses [n] and accuracies [images]; n counts ``unit``: images, or batches where the loss is of a batch.

    Images whose targets the loss ignores aren't there. ``accuracy`` is None where it can't be told.
    ``broken`` [n] marks what isn't finite (loss NaN).
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


@dataclass(frozen=True)
class Graded:
    """One batch: its loss as a whole, and of each image that counts [n], if that can be told."""

    whole: float
    single: Values | None
    broken: Values  # by image: 1 where the output isn't finite
    accuracy: Values | None


class Grading:
    """How the outputs of all passes of one diagnosis are graded: alike, so that pairs stay pairs.

    Losses are of images where, in every batch of every pass graded before the first ``answers``, the mean
    over images is the batch's loss; else they are of batches. An accuracy takes all batches.
    """

    def __init__(self, loss_fn: LossFunction | None) -> None:
        self.loss_fn, self.ignored = loss_fn, ignored_of(loss_fn)
        self.unmeasured: str | None = None  # why there is no accuracy
        self.apart = True  # whether losses can be taken apart into images
        self.settled = False  # whether answers were given: what comes then goes by the same unit
        self._rewarding: bool | None = None

    def grader(self) -> Grader:
        """Return what grades one pass."""
        return Grader(self)

    def accuracy(self, output: Any, target: Any) -> tuple[Values, Values] | None:
        """Return of each image the share that is right, and how many of its targets count."""
        if self.unmeasured is not None:
            return None
        try:
            check_scores(output, target, self.loss_fn)
            if self._rewarding is None:
                self._rewarding = rewards_classes(self.loss_fn, output, target)
            if not self._rewarding:
                raise NotClasses(
                    "loss_fn isn't lower where the score of a target's class is the largest, so that "
                    "outputs are no class scores; with a loss such as nn.CrossEntropyLoss() they are"
                )
        except NotClasses as error:
            self.unmeasured = str(error)
            return None
        right, number = right_answers(output, target, self.ignored)
        return _array(right), _array(number)


class Grader:
    """Turns the outputs and targets of one pass into ``Answers``.

    Raises ``ValueError`` without a ``loss_fn`` unless outputs are [N, C] and targets class numbers [N].
    """

    def __init__(self, grading: Grading) -> None:
        self._grading = grading
        self._batches: list[Graded] = []

    def add(self, output: Any, target: Any) -> None:
        """Grade a batch; one without a target that counts is left out."""
        grading = self._grading
        if grading.loss_fn is None:
            check_classes(output, target)
        counts = counted(target, grading.ignored)
        if counts is not None and not counts.any():
            return
        n = images_of(output, target)
        kept = None if counts is None or counts.shape[0] != n else counts.reshape(n, -1).any(dim=1).cpu()
        broken = _broken(output, n)
        if kept is not None:
            broken = broken[kept]
        whole, single = self._losses(output, target, n, counts, kept)
        told = grading.accuracy(output, target)
        accuracy = None
        if told is not None:
            right, number = told
            accuracy = right[number > 0] * ~broken.numpy()
        self._take_apart(whole, single, broken)
        self._batches.append(
            Graded(
                whole,
                None if single is None else _array(single),
                _array(broken),
                accuracy,
            )
        )

    def answers(self) -> Answers:
        """Return all graded batches."""
        if not self._batches:
            raise ValueError(
                f"no target of these batches counts: all are {self._grading.ignored}, which the loss "
                "ignores; allowed: batches with targets"
            )
        accuracies = [batch.accuracy for batch in self._batches if batch.accuracy is not None]
        measured = self._grading.unmeasured is None and len(accuracies) == len(self._batches)
        accuracy = np.concatenate(accuracies) if measured else None
        self._grading.settled = True
        if self._grading.apart:
            loss = np.concatenate([batch.single for batch in self._batches if batch.single is not None])
            broken = np.concatenate([batch.broken for batch in self._batches])
        else:
            loss = np.array([batch.whole for batch in self._batches])
            broken = np.array([float(batch.broken.any()) for batch in self._batches])
        broken = np.maximum(broken, ~np.isfinite(loss))
        unit = "images" if self._grading.apart else "batches"
        return Answers(np.where(broken > 0, np.nan, loss), accuracy, broken, unit)

    def _take_apart(self, whole: float, single: Tensor | None, broken: Tensor) -> None:
        """Give images up for good where their mean isn't the batch's loss; what is broken doesn't tell."""
        if self._grading.settled:
            return
        if single is None:
            self._grading.apart = False
        elif np.isfinite(whole) and not broken.any():
            digits = torch.finfo(single.dtype).eps
            mean = float(single.double().mean())
            near = abs(mean - whole) <= max(1e-5, 4 * digits) * abs(whole) + max(1e-6, digits)
            self._grading.apart &= near

    def _losses(
        self, output: Any, target: Any, n: int, counts: Tensor | None, kept: Tensor | None
    ) -> tuple[float, Tensor | None]:
        """Return the batch's loss, and those of its images that count, or None."""
        loss_fn = self._grading.loss_fn
        if loss_fn is None:
            values = F.cross_entropy(output.detach().float(), target, reduction="none").cpu()
            values = values if kept is None else values[kept]
            return float(values.double().mean()), values
        loss = loss_fn(output, target)
        if not isinstance(loss, Tensor):
            raise TypeError(f"loss_fn returned a {type(loss).__name__}; allowed: a tensor")
        loss = _floating(loss.detach()).cpu()
        # A loss of one number without axes is the batch's; with one image it is the image's too.
        if loss.dim() and loss.shape[0] == n:
            values = _mean_of_counted(loss, counts)
            values = values if kept is None else values[kept]
            return float(values.double().mean()), values
        if loss.numel() != 1:
            raise ValueError(
                f"loss_fn gave {tuple(loss.shape)} for a batch of {n} images; allowed: one number, or one an "
                "image"
            )
        single = self._one_by_one(output, target, n, kept, loss)
        return float(loss.double()), single

    def _one_by_one(
        self, output: Any, target: Any, n: int, kept: Tensor | None, loss: Tensor
    ) -> Tensor | None:
        loss_fn = self._grading.loss_fn
        assert loss_fn is not None
        if not self._grading.apart or n < 1:
            return None
        if n == 1:
            return loss.reshape(1)
        if not _has_first_axis(output, n) or not _has_first_axis(target, n):
            return None
        chosen = range(n) if kept is None else kept.nonzero().flatten().tolist()
        try:
            losses = [loss_fn(_image(output, i), _image(target, i)) for i in chosen]
        except (RuntimeError, ValueError, IndexError):
            if self._grading.settled:
                raise
            return None
        if any(not isinstance(one, Tensor) or one.numel() != 1 for one in losses):
            return None
        return torch.stack([_floating(one.detach()).cpu().reshape(()) for one in losses])


def check_classes(output: Any, target: Any) -> None:
    """Raise ``ValueError`` unless outputs are [N, C] of several classes and targets their numbers [N]."""
    fits = (
        isinstance(output, Tensor)
        and isinstance(target, Tensor)
        and output.dim() == 2
        and is_whole(target)
        and target.shape == output.shape[:1]
    )
    if not fits:
        raise ValueError(
            f"loss_fn is None, with an output of {_kind(output)} and a target of {_kind(target)}; "
            f"allowed: outputs "
            "[N, C] and whole-number targets [N], or a loss_fn(output, target)"
        )
    try:
        check_scores(output, target, None)
    except NotClasses as error:
        raise ValueError(f"loss_fn is None, and {error}; or give a loss_fn(output, target)") from None


def images_of(output: Any, target: Any) -> int:
    """Return how many images outputs are of: their first axis, or the one that most of several share."""
    if isinstance(output, Tensor) and output.dim():
        return output.shape[0]
    sizes = [
        leaf.shape[0]
        for leaf in pytree.tree_leaves((output, target))
        if isinstance(leaf, Tensor) and leaf.dim()
    ]
    return max(sizes, key=sizes.count, default=0)


def _has_first_axis(value: Any, n: int) -> bool:
    leaves = pytree.tree_leaves(value)
    return bool(leaves) and all(isinstance(x, Tensor) and x.shape[:1] == (n,) for x in leaves)


def _image(value: Any, i: int) -> Any:
    return pytree.tree_map(lambda leaf: leaf[i : i + 1], value)


def _mean_of_counted(loss: Tensor, counts: Tensor | None) -> Tensor:
    """Return the mean of each image's losses [N] over what counts; NaN where nothing does."""
    n = loss.shape[0]
    if counts is None or counts.shape != loss.shape:
        return loss.reshape(n, -1).mean(dim=1)
    weight = counts.cpu().reshape(n, -1)
    return torch.where(weight, loss.reshape(n, -1), 0).sum(dim=1) / weight.sum(dim=1)


def _broken(output: Any, n: int) -> Tensor:
    """Return which images have an output that isn't finite [N]."""
    broken = torch.zeros(n, dtype=torch.bool)
    for leaf in pytree.tree_leaves(output):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.shape[:1] == (n,):
            broken |= ~leaf.detach().reshape(n, -1).isfinite().all(dim=1).cpu()
    return broken


def _floating(loss: Tensor) -> Tensor:
    return loss if loss.is_floating_point() else loss.float()


def _array(values: Tensor) -> Values:
    return values.detach().double().cpu().numpy()


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"shape {list(value.shape)} ({str(value.dtype).removeprefix('torch.')})"
    return type(value).__name__
