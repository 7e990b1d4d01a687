"""Which parts of a batch are by image, and the same batch with other images beside the first half."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

FEW = 3  # a batch itself of up to so many lists or tensors is inputs and targets, and not a list of images
# What says nothing of images, and may stay as it is.
PLAIN = (bool, int, float, complex, str, bytes, type(None))


def size_of(batch: Any, output: Any = None) -> int | None:
    """Return how many images a batch has, or None where its parts don't agree.

    The first axis of the output, if it is a tensor and parts of the batch have it too; else what all
    tensors' first axes and all lists' lengths agree on. A single number says nothing.
    """
    if isinstance(output, Tensor) and output.dim() and _carriers(batch, output.shape[0]):
        return output.shape[0]
    sizes = set(_sizes(batch, top=True))
    return sizes.pop() if len(sizes) == 1 else None


def with_other_neighbours(batch: Any, n: int) -> Any | None:
    """Return ``batch`` with its first half of ``n`` images in place of the second, too.

    None where that can't be done: fewer than two images, parts that aren't tensors, lists or plain values, or
    a list of which can't be told whether it holds images.
    """
    keep = n // 2
    carriers = _carriers(batch, n)
    if keep < 1 or not carriers:
        return None
    leaves, spec = pytree.tree_flatten(batch, is_leaf=lambda value: any(value is c for c in carriers))
    if not all(isinstance(leaf, (Tensor, list, tuple, *PLAIN)) for leaf in leaves):
        return None
    if any(isinstance(leaf, Tensor) and leaf.layout != torch.strided for leaf in leaves):
        return None
    places = [*range(keep), *(i % keep for i in range(n - keep))]
    mixed = []
    for leaf in leaves:
        if not any(leaf is carrier for carrier in carriers):
            mixed.append(leaf)
        elif isinstance(leaf, Tensor):
            mixed.append(leaf[places])
        else:
            mixed.append(type(leaf)(leaf[i] for i in places))
    return pytree.tree_unflatten(mixed, spec)


def _carriers(batch: Any, n: int) -> list[Any]:
    """Return the tensors and lists of ``batch`` with an entry an image; none where that can't be told."""
    sure: list[Any] = []
    unsure: list[Any] = []

    def visit(value: Any, top: bool) -> list[Any]:
        if isinstance(value, Tensor):
            return [value] if value.dim() and value.shape[0] == n else []
        if isinstance(value, Mapping):
            return [part for item in value.values() for part in visit(item, False)]
        if not isinstance(value, (list, tuple)):
            return []
        if (
            len(value) == n
            and _alike(value)
            and (not top or n > FEW or isinstance(value[0], (Mapping, Tensor)))
        ):
            own = [isinstance(member, Tensor) and member.shape[:1] == (n,) for member in value]
            if all(own):
                # As many images as channels, or as many inputs as images.
                unsure.append(value)
                return []
            if not any(own) and not (top and isinstance(value[0], Tensor) and n <= FEW):
                sure.append(value)
                return [value]
        return [part for item in value for part in visit(item, False)]

    found = visit(batch, True)
    if not unsure:
        return found
    if sure:
        return [*found, *unsure]
    # A pair of one input and its targets, as loaders give it, has tensors of several kinds.
    if len(unsure) == 1 and unsure[0] is batch and len({member.dim() for member in batch}) > 1:
        return list(batch)
    return []


def _sizes(value: Any, top: bool = False) -> list[int]:
    if isinstance(value, Tensor):
        return [value.shape[0]] if value.dim() and value.numel() != 1 else []
    if isinstance(value, Mapping):
        return [size for item in value.values() for size in _sizes(item)]
    if not isinstance(value, (list, tuple)) or not value:
        return []
    by_image = isinstance(value[0], Mapping) or (isinstance(value[0], Tensor) and not top)
    if by_image and _alike(value):
        return [len(value)]
    return [size for item in value for size in _sizes(item)]


def _alike(members: Any) -> bool:
    """Return whether a list may be one of images: members of one kind, tensors of as many axes."""
    if hasattr(members, "_fields") or not members:
        return False
    if isinstance(members, tuple) and isinstance(members[0], PLAIN):
        return False  # a height and a width
    kinds = {(type(member), member.dim() if isinstance(member, Tensor) else 0) for member in members}
    return len(kinds) == 1
