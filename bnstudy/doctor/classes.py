"""Whether outputs are class scores of their targets, and which targets count."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Losses that only class scores [N, C, ...] with class numbers [N, ...] go into.
CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
CLASS_FUNCTIONS = (F.cross_entropy, F.nll_loss, F.multi_margin_loss)
IGNORED = -100  # by cross_entropy and nll_loss, unless they are told otherwise
TRIED = 4  # classes that an unknown loss is tried on

HOW = "for an accuracy have forward return scores [N, C, ...] of C classes and class numbers [N, ...]"


class NotClasses(ValueError):
    """An accuracy can't be told from these outputs and targets; the text says why."""


def ignored_of(loss_fn: Any) -> int | None:
    """Return the target that a loss leaves out, or None where it names none."""
    if loss_fn is None or loss_fn in (F.cross_entropy, F.nll_loss):
        return IGNORED
    if isinstance(loss_fn, functools.partial):
        named = loss_fn.keywords.get("ignore_index")
        return named if isinstance(named, int) else ignored_of(loss_fn.func)
    named = getattr(loss_fn, "ignore_index", None)
    return named if isinstance(named, int) and not isinstance(named, bool) else None


def counted(target: Any, ignored: int | None) -> Tensor | None:
    """Return which targets [N, ...] count, or None where all do."""
    if ignored is None or not isinstance(target, Tensor) or not is_whole(target) or not target.dim():
        return None
    return target != ignored


def is_whole(target: Tensor) -> bool:
    """Return whether targets are whole numbers, as those of classes are."""
    return not (target.is_floating_point() or target.is_complex() or target.dtype == torch.bool)


def check_scores(output: Any, target: Any, loss_fn: Any) -> None:
    """Raise ``NotClasses``, with the reason, unless shapes and values are those of scores and classes."""
    if not isinstance(output, Tensor) or not isinstance(target, Tensor):
        which, value = ("outputs", output) if not isinstance(output, Tensor) else ("targets", target)
        raise NotClasses(f"{which} are a {type(value).__name__}; {HOW}")
    if not is_whole(target):
        kind = str(target.dtype).removeprefix("torch.")
        raise NotClasses(f"targets are {kind} and no class numbers; {HOW}")
    shape = list(output.shape)
    if output.dim() >= 2 and shape[1] == 1:
        raise NotClasses(
            f"outputs {shape} have one score, of which no class is the largest; of one logit z, with "
            "targets 0 and 1, have forward return torch.stack([torch.zeros_like(z), z], 1): its "
            "cross-entropy is the logit's"
        )
    if output.dim() < 2 or target.shape != output.shape[:1] + output.shape[2:]:
        raise NotClasses(f"outputs are {shape} and targets {list(target.shape)}; {HOW}")
    wrong = (target < 0) | (target >= shape[1])
    ignored = ignored_of(loss_fn)
    if ignored is not None:
        wrong &= target != ignored
    if wrong.any():
        raise NotClasses(
            f"targets hold {int(target[wrong][0])}, and outputs {shape} have scores of classes 0 to "
            f"{shape[1] - 1}; if it is to be left out, give a loss_fn with that ignore_index, as "
            "nn.CrossEntropyLoss(ignore_index=...)"
        )


def rewards_classes(loss_fn: Any, output: Tensor, target: Tensor) -> bool:
    """Return whether a loss is lower where the score of the target's class is the largest.

    Known from the loss's kind, or tried: on outputs that are high at one class alone, for targets that are
    all of one class. Embeddings, quantiles or means with variances don't pass; a loss that fails on such
    outputs doesn't either.
    """
    inner = loss_fn.func if isinstance(loss_fn, functools.partial) else loss_fn
    if inner is None or inner in CLASS_FUNCTIONS or isinstance(inner, CLASS_LOSSES):
        return True
    classes = output.shape[1]
    known = target[(target >= 0) & (target < classes)]
    tried = {*torch.unique(known).tolist()[:TRIED], 0, classes - 1} - {ignored_of(loss_fn)}
    for right in sorted(tried):
        for wrong in {(right + 1) % classes, (right + classes // 2) % classes} - {right}:
            for height in (1.0, 5.0):
                if not _lower(loss_fn, output, target, right, wrong, height):
                    return False
    return True


def _lower(loss_fn: Any, output: Tensor, target: Tensor, right: int, wrong: int, height: float) -> bool:
    losses = []
    for place in (right, wrong):
        scores = torch.zeros_like(output.detach())
        scores[:, place] = height
        try:
            loss = loss_fn(scores, torch.full_like(target, right))
        except (RuntimeError, ValueError, IndexError):
            return False
        losses.append(float(loss.detach().double().mean()) if isinstance(loss, Tensor) else float("nan"))
    return losses[0] < losses[1]


def right_answers(output: Tensor, target: Tensor, ignored: int | None) -> tuple[Tensor, Tensor]:
    """Return of each image the share of its counted targets that are right [N], and how many count [N]."""
    right = (output.detach().argmax(dim=1) == target).reshape(len(target), -1)
    counts = counted(target, ignored)
    weight = torch.ones_like(right) if counts is None else counts.reshape(len(target), -1)
    number = weight.sum(dim=1)
    return ((right & weight).sum(dim=1).double() / number.clamp(min=1)).cpu(), number.cpu()
