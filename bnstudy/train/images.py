"""Which images a run trains on, and which it is evaluated on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bnstudy.records.spec import RunSpec
from bnstudy.train.data import Dataset
from bnstudy.train.feed import DeviceData, Feed, balanced_order
from bnstudy.train.seeds import HELD_OUT, SUBSET, VIEW, generator

TRAIN_SUBSET = 10_000  # training images on which the training accuracy is estimated

# The images that are held out, and the order in which a part of a split is taken, are the same in every run.
FIXED = 0


def train_images(spec: RunSpec, dataset: Dataset) -> Tensor:
    """Return the indices of the images that a run trains on: [n]."""
    if spec.train_size is None and not spec.held_out:
        return torch.arange(len(dataset.y_train))
    here = torch.ones(len(dataset.y_train), dtype=torch.bool)
    here[held_out(spec, dataset)] = False
    if spec.train_size is None:
        return here.nonzero()[:, 0]
    order = balanced_order(dataset.y_train, generator(spec.seed, SUBSET))
    return order[here[order]][: spec.train_size]


def held_out(spec: RunSpec, dataset: Dataset) -> Tensor:
    """Return the indices of the training images that a run holds out, each stretch of them class-balanced."""
    return balanced_order(dataset.y_train, generator(FIXED, HELD_OUT))[: spec.held_out]


def split_feeds(
    specs: Sequence[RunSpec], dataset: Dataset, data: DeviceData, training: Tensor
) -> dict[str, Feed]:
    """Return the images that networks are evaluated on, by split.

    ``"test"``: all test images. ``"train"``: the first of each member's ``training`` images, indices [n, R].
    ``"validation"``: the images held out, if any are.
    """
    members, device = len(specs), data.train.labels.device
    every = torch.arange(len(data.test), device=device)[:, None].expand(-1, members)
    feeds = {"test": Feed(data.test, every), "train": Feed(data.train, training[:TRAIN_SUBSET].to(device))}
    if specs[0].held_out:
        held = held_out(specs[0], dataset).to(device)[:, None].expand(-1, members)
        feeds["validation"] = Feed(data.train, held)
    return feeds


def balanced_test_feed(dataset: Dataset, data: DeviceData, members: int) -> Feed:
    """Return the test images in a fixed order in which every stretch has the classes in equal shares."""
    order = balanced_order(dataset.y_test, generator(FIXED, VIEW))
    return Feed(data.test, order.to(data.test.labels.device)[:, None].expand(-1, members))
