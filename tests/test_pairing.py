"""Runs of one seed are paired: in every arm the same initial weights, and the same images in one order."""

from __future__ import annotations

import pytest
import torch

from bnstudy.records.spec import RunSpec
from bnstudy.train.fleet import Fleet

BASE = {"dataset": "digits", "train_size": 40, "batch_size": 8, "epochs": 2, "seed": 5}
ARMS = [
    {"norm": "none"},
    {"norm": "noisy"},
    {"renorm": True},
    {"scale": True, "epsilon": 1e-5},
    {"norm_last": False},
    {"updates": "after_step", "zero_debias": ["none"]},
    {"dropout": 0.5},
    {"norm": "none", "dropout": 0.5, "dropout_place": "before_norm"},
    {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1},
    {"weight_decay": 1e-3, "schedule": "annealed"},
    {"precision": "float32"},
    {"padding": 3, "decays": [0.5, 0.99]},
]


def start(spec, dataset):
    """The convolutions' weights and biases, and the order of the images in the first epochs."""
    fleet = Fleet([spec], dataset, torch.device("cpu"))
    weights = {name: p.detach().clone() for name, p in fleet.net.named_parameters() if ".conv." in name}
    orders = [torch.randperm(len(fleet.images), generator=fleet.orders[0]) for _ in range(2)]
    return weights, fleet.images.clone(), orders


@pytest.mark.parametrize("changes", ARMS, ids=lambda changes: "-".join(map(str, changes.items())))
def test_arms_of_one_seed_start_alike(few_digits, changes):
    (weights, images, orders), (theirs, their_images, their_orders) = (
        start(RunSpec(**{**BASE, **more}), few_digits) for more in ({}, changes)
    )
    assert len(weights) == 10
    assert weights.keys() == theirs.keys()
    for name, values in weights.items():
        assert torch.equal(values, theirs[name]), name
    assert torch.equal(images, their_images)
    assert all(map(torch.equal, orders, their_orders))


def test_another_seed_starts_otherwise(few_digits):
    (weights, _, orders), (theirs, _, their_orders) = (
        start(RunSpec(**{**BASE, "seed": seed}), few_digits) for seed in (5, 6)
    )
    assert not torch.equal(weights["blocks.conv1.conv.weight"], theirs["blocks.conv1.conv.weight"])
    assert not any(map(torch.equal, orders, their_orders))
