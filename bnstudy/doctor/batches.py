"""The batches of a diagnosis: which may be read again, which are kept, and where they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

_NONE = object()
HELD_BACK = 4  # without batches to evaluate on, every fourth training batch is


class Batches:
    """Training batches, up to ``limit``, which are iterated again for each pass."""

    def __init__(self, batches: Iterable[Any], limit: int | None) -> None:
        self._batches, self._limit = batches, limit
        self._read = False

    def __iter__(self) -> Iterator[Any]:
        """Raise ``ValueError`` where there is no batch, or no more than at an earlier pass."""
        first = next(batches := iter(self._batches), _NONE)
        if first is _NONE:
            kind = type(self._batches).__name__
            if not self._read:
                raise ValueError("train_batches is empty; allowed: at least one batch")
            raise TypeError(
                f"train_batches is a {kind} that gave batches once, and none when it was read again; "
                "allowed: what can be read several times, such as a DataLoader of a data set that starts "
                "anew each time, or a list: list(train_batches)"
            )
        self._read = True
        yield first
        yield from islice(batches, None if self._limit is None else self._limit - 1)

    def __len__(self) -> int:
        batches = len(self._batches)  # type: ignore[arg-type]
        return batches if self._limit is None else min(batches, self._limit)


def check_again(batches: Any, argument: str) -> None:
    """Raise ``TypeError`` unless ``batches`` can be iterated more than once."""
    if isinstance(batches, Tensor) or not hasattr(batches, "__iter__"):
        raise TypeError(f"{argument} is a {type(batches).__name__}; allowed: an iterable of batches")
    if iter(batches) is batches:
        raise TypeError(
            f"{argument} is a {type(batches).__name__}, which can be read once; allowed: what can be read "
            f"again, such as a DataLoader or a list: list({argument})"
        )


def split(batches: Iterable[Any], limit: int | None) -> tuple[list[Any], list[Any]]:
    """Return the training batches, kept, less every fourth, and those."""
    kept = list(islice(iter(batches), limit))
    if len(kept) < 2:
        raise ValueError(
            f"train_batches has {len(kept)} batches and there are no eval_batches; allowed: at least 2, "
            f"so that "
            "one can be held back"
        )
    step = min(HELD_BACK, len(kept))
    held = kept[step - 1 :: step]
    return [b for i, b in enumerate(kept) if i % step != step - 1], held


def moved(batch: Any, device: torch.device | None) -> Any:
    """Return a batch with its tensors on ``device``."""
    if device is None:
        return batch
    return pytree.tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, batch)
