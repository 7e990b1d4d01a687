"""Runs side by side: each member gives what it would give alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bnstudy.records.spec import RunSpec
from bnstudy.train.fleet import train_fleet, train_run

# A member differs from its lone run in the order in which sums are added up, and training lets rounding
# grow: in float64 the losses of some steps stay within the first of these, and in float32 those of two
# steps within the second.
FLOAT64, FLOAT32 = 1e-8, 1e-4


def spec(**changes):
    settings = {
        "dataset": "digits",
        "batch_size": 8,
        "epochs": 1,
        "decays": [0.9],
        "evaluations": 1,
        "precision": "float64",
    }
    return RunSpec(**{**settings, **changes})


def members(**changes):
    return [
        spec(**changes, seed=3),
        spec(**changes, seed=5, learning_rate=1e-2),
        spec(**changes, seed=3, schedule="annealed", weight_decay=0.1),
    ]


def assert_same(result, alone, tolerance):
    assert result.outcome == alone.outcome
    for name, table in alone.tables.items():
        assert list(result.tables[name]) == list(table)
        for column, values in table.items():
            found = result.tables[name][column]
            if column == "loss":
                np.testing.assert_allclose(found, values, rtol=tolerance)
            else:
                assert found == values


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "none", "train_size": 10},
        {"norm": "noisy", "optimizer": "sgd", "momentum": 0.9},
        {"dropout": 0.3, "train_size": 12},
        {"renorm": True, "renorm_rmax": 2.0, "renorm_dmax": 1.0, "scale": True},
    ],
)
def test_a_member_is_its_lone_run(twenty_digits, changes):
    specs = members(**changes)
    together = train_fleet(specs, twenty_digits, progress=False)
    for index, (own, result) in enumerate(zip(specs, together, strict=True)):
        alone = train_run(own, twenty_digits, progress=False)
        assert (result.fleet_size, result.fleet_index) == (3, index)
        assert (alone.fleet_size, alone.fleet_index) == (1, 0)
        assert_same(result, alone, FLOAT64)


@pytest.mark.parametrize("changes", [{}, {"norm": "none"}])
def test_a_member_is_its_lone_run_in_float32(twenty_digits, changes):
    specs = members(precision="float32", batch_size=10, **changes)
    for own, result in zip(specs, train_fleet(specs, twenty_digits, progress=False), strict=True):
        alone = train_run(own, twenty_digits, progress=False)
        np.testing.assert_allclose(
            result.tables["training"]["loss"], alone.tables["training"]["loss"], rtol=FLOAT32
        )


def test_the_same_fleet_gives_the_same_results_bit_for_bit(twenty_digits):
    specs = members(precision="bfloat16", evaluations=3)
    first, second = (train_fleet(specs, twenty_digits, progress=False) for _ in range(2))
    assert first == second


def test_a_member_that_diverges_leaves_the_others_as_they_are(twenty_digits):
    settings = {"norm": "none", "relu_on_logits": False, "epochs": 2, "evaluations": 3}
    wild = spec(**settings, seed=1, learning_rate=1e20)
    calm = [spec(**settings, seed=seed) for seed in (0, 2)]
    together = train_fleet([calm[0], wild, calm[1]], twenty_digits, progress=False)
    assert [r.outcome for r in together[::2]] == ["finished", "finished"]
    assert together[1].outcome == train_run(wild, twenty_digits, progress=False).outcome
    assert together[1].outcome.startswith("diverged at step ")
    assert len(together[1].tables["training"]["step"]) < len(together[0].tables["training"]["step"])
    for own, result in zip(calm, together[::2], strict=True):
        alone = train_run(own, twenty_digits, progress=False)
        assert_same(result, alone, FLOAT64)


class HostReads(TorchDispatchMode):
    """Counts what would make a GPU wait for Python: values read from the device or built on the host."""

    count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        aten = torch.ops.aten
        self.count += operation in (aten._local_scalar_dense.default, aten.lift_fresh.default)
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "weight_decay": 0.1},
        {"dropout": 0.3, "schedule": "annealed"},
        {"norm": "noisy", "renorm": True, "renorm_rmax": 2.0, "renorm_dmax": 1.0},
    ],
)
def test_no_step_waits_for_python(twenty_digits, changes, monkeypatch):
    """More steps, no more reads. In float32 the CPU's kernel checks its own rounding, hence float64."""

    monkeypatch.setattr("bnstudy.norm.fast.pooled._compiled", lambda: None)  # a GPU has no use for it

    def reads(epochs):
        own = spec(**changes, epochs=epochs, evaluations=1, statistics=["moving"])
        with HostReads() as counter:
            train_fleet([own, own.model_copy(update={"seed": 1})], twenty_digits, progress=False)
        return counter.count

    assert reads(1) == reads(3) > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({}, 1e-6),
        # A GPU standardises images in float32; without normalisation the higher rate makes 6e-4 of that.
        ({"norm": "none"}, 2e-3),
        # Renormalised by the averages, batches pass on what rounding made of earlier ones: 2e-6 was seen.
        ({"renorm": True, "renorm_rmax": 2.0}, 1e-5),
    ],
)
def test_a_gpu_replays_what_a_cpu_computes(twenty_digits, changes, tolerance):
    specs = members(**changes, epochs=4)  # twelve steps: some plain, some captured and replayed
    there = train_fleet(specs, twenty_digits, device="cuda", progress=False)
    for here, result in zip(train_fleet(specs, twenty_digits, progress=False), there, strict=True):
        np.testing.assert_allclose(
            result.tables["training"]["loss"], here.tables["training"]["loss"], rtol=tolerance
        )


def test_misuse_is_named(twenty_digits):
    with pytest.raises(ValueError, match="specs is empty; allowed: at least one RunSpec"):
        train_fleet([], twenty_digits)
    message = (
        r"batch_size is 8, 16 in one fleet; allowed: one value \(runs of a fleet may differ in learning_rate"
    )
    with pytest.raises(ValueError, match=message):
        train_fleet([spec(), spec(batch_size=16)], twenty_digits)
