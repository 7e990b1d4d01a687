"""A data set on its device: images come out standardised, for one network or several side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnstudy.train.data import Dataset


class DeviceData:
    """The training and test images of a data set, resident on the device.

    Images are standardised per colour channel by the mean and the standard deviation of all training
    images. With ``raw`` they stay uint8 on the device and each batch is standardised when it is taken,
    which a GPU does in no time for a quarter of the memory; else all are standardised beforehand.

    Args:
        dataset: the data.
        dtype: of the standardised images.
        device: where they live.
        raw: whether they are kept as uint8; None: on a GPU only.
    """

    def __init__(
        self, dataset: Dataset, dtype: torch.dtype, device: torch.device, raw: bool | None = None
    ) -> None:
        mean, std = channel_statistics(dataset.x_train)
        raw = device.type == "cuda" if raw is None else raw
        self.train = Split(dataset.x_train, dataset.y_train, mean, std, dtype, device, raw)
        self.test = Split(dataset.x_test, dataset.y_test, mean, std, dtype, device, raw)


class Split:
    """Images [N, H, W, C] and labels [N] of one split."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        mean: Tensor,
        std: Tensor,
        dtype: torch.dtype,
        device: torch.device,
        raw: bool,
    ) -> None:
        self._raw = raw
        self._dtype = dtype
        self._mean, self._std = mean.float().to(device), std.float().to(device)
        self.images = (torch.from_numpy(images) if raw else _standardised(images, mean, std, dtype)).to(
            device
        )
        self.labels = torch.from_numpy(labels).long().to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images and labels at ``index`` [N, R], which member r of R takes from column r.

        Images [N, R * C, H, W], channels-last, a member's channels beside each other; labels [N, R].
        """
        n, members = index.shape
        height, width, channels = self.images.shape[1:]
        flat = index.reshape(-1)
        x = self.images.index_select(0, flat)
        if self._raw:
            x = x.float().sub_(self._mean).div_(self._std).to(self._dtype)
        x = x.view(n, members, height, width, channels).permute(0, 2, 3, 1, 4)
        x = x.reshape(n, height, width, members * channels).permute(0, 3, 1, 2)
        return x, self.labels.index_select(0, flat).view(n, members)


class Feed:
    """Batches of one split in a given order, which ``rewind`` starts again.

    Where it stands is kept on the device, so that a CUDA graph can take the next batch.

    Args:
        split: the images.
        order: indices [n, R] of the images, the order of each of R members in a column.
    """

    def __init__(self, split: Split, order: Tensor) -> None:
        self.split = split
        self._order = order.clone()
        self._position = torch.zeros((), dtype=torch.int64, device=order.device)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._order.device

    @property
    def members(self) -> int:
        """R, how many networks it feeds."""
        return self._order.shape[1]

    def first(self, images: int | None) -> Feed:
        """Return a feed of its first so many images, in its first order; None: of all."""
        return Feed(self.split, self._order[:images])

    def rewind(self, order: Tensor | None = None) -> None:
        """Start again from the first image, in a new order of the same shape if one is given."""
        if order is not None:
            self._order.copy_(order)
        self._position.zero_()

    def take(self, size: int) -> tuple[Tensor, Tensor]:
        """Return the next ``size`` images [size, R * C, H, W] and labels [size, R]."""
        batch = self.peek(size)
        self._position += size
        return batch

    def peek(self, size: int) -> tuple[Tensor, Tensor]:
        """Return what ``take`` would, and leave it there."""
        index = torch.arange(size, device=self._order.device).add_(self._position)
        return self.split.batch(self._order.index_select(0, index))


def batch_sizes(images: int, size: int) -> list[int]:
    """Return the sizes of the batches that cover ``images`` images, all but the last of them ``size``."""
    whole, rest = divmod(images, size)
    return [size] * whole + [rest] * (rest > 0)


def equal_sizes(images: int, size: int) -> list[int]:
    """Return near-equal sizes of the fewest batches of at most ``size`` that cover ``images`` images."""
    batches = -(-images // size)
    return [images // batches + (i < images % batches) for i in range(batches)]


def channel_statistics(images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of [N, H, W, C], float64 [C].

    A constant channel has the standard deviation 1, so that it can be divided by.
    """
    values = np.arange(256)
    counts = np.zeros((images.shape[-1], 256))
    for part in slices(len(images)):
        for channel, count in enumerate(counts):
            count += np.bincount(images[part, ..., channel].ravel(), minlength=256)
    means = [float(np.average(values, weights=count)) for count in counts]
    variances = [
        np.average((values - mean) ** 2, weights=count) for mean, count in zip(means, counts, strict=True)
    ]
    stds = [math.sqrt(variance) or 1.0 for variance in variances]
    return torch.tensor(means, dtype=torch.float64), torch.tensor(stds, dtype=torch.float64)


def slices(images: int, size: int = 1000) -> Iterator[slice]:
    """Return slices that cover so many images, for work with large float64 or int64 intermediates."""
    return (slice(start, start + size) for start in range(0, images, size))


def balanced_order(labels: NDArray[np.uint8], generator: torch.Generator) -> Tensor:
    """Return a random order [N] in which each class's k-th image comes before any class's (k+1)-th.

    Its first n images have the classes in equal shares, give or take one image, as far as each class has
    images left.
    """
    order = torch.randperm(len(labels), generator=generator)
    shuffled = torch.from_numpy(labels)[order]
    rank = torch.empty_like(order)
    for label in range(int(labels.max()) + 1):
        of_class = shuffled == label
        rank[of_class] = torch.arange(int(of_class.sum()))
    return order[rank.argsort(stable=True)]


def _standardised(x: NDArray[np.uint8], mean: Tensor, std: Tensor, dtype: torch.dtype) -> Tensor:
    out = torch.empty(x.shape, dtype=dtype)
    for part in slices(len(x)):
        out[part] = ((torch.from_numpy(x[part]).double() - mean) / std).to(dtype)
    return out
