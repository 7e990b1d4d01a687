"""Whether an output depends on the other images of its batch, and which module lets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bnstudy.doctor.images import size_of, with_other_neighbours
from bnstudy.doctor.passes import Passes
from bnstudy.probes.calls import intercepted

# Of the outputs' standard deviation: what sums in another order may change.
TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 5e-2, torch.float64: 1e-9}
DEFAULT = 1e-4


@dataclass(frozen=True)
class Leak:
    """The first module whose output changed with the neighbours, and by how much."""

    name: str
    module: nn.Module
    change: float  # in standard deviations of the output


def find_leak(passes: Passes, batches: Sequence[Any]) -> Leak | str | None:
    """Return where the first half of a batch changes with other images in the place of the second half.

    The first of ``batches`` with several images is taken. None if nowhere; a sentence if it can't be told.
    """
    for batch in batches:
        n = size_of(batch, passes.output(batch)[0])
        mixed = None if n is None else with_other_neighbours(batch, n)
        if n is not None and mixed is not None:
            return _compared(passes, batch, mixed, n)
        if n is None or n > 1:
            break
    return (
        "Whether outputs depend on their batch wasn't told: batches have one image, or parts of which can't "
        "be told whether they are by image."
    )


def _compared(passes: Passes, batch: Any, mixed: Any, n: int) -> Leak | str | None:
    kept: list[Tensor | None] = []
    names = {module: name for name, module in passes.model.named_modules()}
    found: list[Leak] = []
    arrived = False

    def record(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        kept.append(_by_image(output, n))
        return output

    with intercepted(passes.model, record):
        passes.output(batch)
    before = iter(kept)

    def compare(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal arrived
        output = forward(*args, **kwargs)
        first, second = next(before, None), _by_image(output, n)
        if first is not None and second is not None and first.shape == second.shape:
            change = _change(first[: n // 2], second[: n // 2])
            if change is not None and not found:
                found.append(Leak(names.get(module, ""), module, change))
            arrived = arrived or not torch.equal(first[n // 2 :], second[n // 2 :])
        return output

    try:
        with intercepted(passes.model, compare):
            passes.output(mixed)
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        return (
            "Whether outputs depend on their batch wasn't told: with other images in a batch's second half "
            f"the model raised {type(error).__name__}."
        )
    if found:
        return found[0]
    if not arrived:
        return (
            "Whether outputs depend on their batch wasn't told: other images in a batch's second half don't "
            "change what modules make of that half."
        )
    return None


def _by_image(output: Any, n: int) -> Tensor | None:
    for leaf in pytree.tree_leaves(output):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dim() and leaf.shape[0] == n:
            return leaf.detach().clone()
    return None


def _change(first: Tensor, second: Tensor) -> float | None:
    if torch.equal(first, second):
        return None
    tolerance = TOLERANCE.get(first.dtype, DEFAULT)
    a, b = first.double(), second.double()
    finite = a.isfinite() & b.isfinite()
    if not finite.any():
        return None
    scale = float(a[finite].std()) if int(finite.sum()) > 1 else 0.0
    change = float((a[finite] - b[finite]).abs().max()) / max(scale, 1e-12)
    return change if change > tolerance else None
