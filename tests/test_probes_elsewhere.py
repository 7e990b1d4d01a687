"""Probes at other precisions, modes and places: half and double, frozen, inference, several processes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    InternalCovariateShift,
    StatisticsGap,
    stepped,
)
from bnstudy.probes.units import percentiles
from tests.small_net import data, net, values


@settings(max_examples=30, deadline=None)
@given(
    exponent=st.integers(-300, 300),
    kind=st.sampled_from([torch.float64, torch.complex128]),
    seed=st.integers(0, 999),
)
def test_norms_of_any_size_in_double_precision(exponent, kind, seed):
    gradient = torch.randn(5, generator=torch.Generator().manual_seed(seed), dtype=kind)
    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(5, dtype=kind))
    model.w.grad = gradient * 10.0**exponent
    probe = GradientHealth(model)
    with probe():
        pass
    expected = float(np.linalg.norm(gradient.numpy())) * 10.0**exponent
    assert values(probe, "", "total_norm") == pytest.approx([expected], rel=1e-12)


def test_frozen_layers_stay_frozen_while_others_are_measured():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=None)).train()
    model[0].running_mean.fill_(5.0)
    model[0].running_var.fill_(9.0)
    model[0].eval()
    batches = [torch.randn(n, 4) + 2 for n in (16, 40)]
    probe = StatisticsGap(model, batches)
    with probe():
        pass
    with torch.no_grad():
        z = torch.cat([model[1]((x - 5) / (9 + 1e-5) ** 0.5) for x in batches]).double()
        x = torch.cat(batches).double()
    expected = (z.mean(0).square() / (z.var(0, correction=0) + 1e-5)).mean().sqrt().item()
    assert values(probe, "2", "mean_gap") == pytest.approx([expected], rel=1e-5)
    frozen = ((5 - x.mean(0)).square() / (x.var(0, correction=0) + 1e-5)).mean().sqrt().item()
    assert values(probe, "0", "mean_gap") == pytest.approx([frozen], rel=1e-5)
    assert not model[0].training
    assert model[2].training


def test_batches_that_do_not_reach_a_layer_are_left_out():
    class Routed(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.BatchNorm1d(2, track_running_stats=False), nn.BatchNorm1d(2)

        def forward(self, x):
            return self.right(x[x[:, 0] > 0])

    x = torch.randn(20, 2)
    probe = StatisticsGap(Routed(), [-x.abs(), x])
    with probe():
        pass
    part = x[x[:, 0] > 0].double()
    expected = (part.mean(0).square() / (part.var(0, correction=0) + 1e-5)).mean().sqrt().item()
    assert values(probe, "right", "mean_gap") == pytest.approx([expected], rel=1e-5)
    assert set(probe.frame().layer) == {"right"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_models_in_half_precision_are_measured_in_single(dtype):
    """Values of a network whose weights and batch fit half precision, against the same in double."""

    def measured(kind):
        model = net().to(dtype).to(kind)
        x, y = data(1, n=64)[0]
        x = x.to(dtype).to(kind)
        probes = [
            InternalCovariateShift(model, lambda out, y: F.cross_entropy(out.double(), y)),
            ActivationDrift(model),
            Gaussianity(model),
            GradientHealth(model),
            StatisticsGap(model, [x]),
        ]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        with probes[0](x, y), probes[1](x), probes[2](x), probes[3](), probes[4]():
            F.cross_entropy(model(x).double(), y).backward()
            optimizer.step()
        picked = [("3", "ics"), ("3", "output_std"), ("1", "normalised_normal_distance"), ("", "total_norm")]
        picked.append(("1", "mean_gap"))
        return [values(probe, *what)[0] for probe, what in zip(probes, picked, strict=True)]

    half, double = measured(dtype), measured(torch.float64)
    assert half[1:] == pytest.approx(double[1:], rel=0.05)
    assert half[0] == pytest.approx(double[0], rel=0.3)  # a difference of two gradients, each rounded


@pytest.mark.parametrize("inside", [False, True])
def test_inference_mode_changes_no_value(inside):
    """Of the caller, or of the code that built the model, whose tensors then count no changes."""
    (x, _) = data(1)[0]
    with torch.inference_mode(not inside):
        model = net()
    plain = net()
    for make in (Gaussianity, ActivationDrift, lambda m: StatisticsGap(m, [x])):
        probe, expected = make(model), make(plain)
        with torch.inference_mode(inside), probe(x):
            stepped()
        with expected(x):
            stepped()
        assert probe.frame().equals(expected.frame())
        assert not probe.frame().empty


def test_a_batch_without_samples_has_no_activations_to_measure():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    drift, shape = ActivationDrift(model), Gaussianity(model)
    with drift(torch.ones(0, 4)), shape(torch.ones(0, 4)):
        stepped()
    assert drift.frame().empty
    assert shape.frame().empty
    assert drift.step == 1


def test_reentrant_checkpointing_is_refused_with_the_way_out():
    class Reentrant(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.b, self.a(x), use_reentrant=True)

    model, ((x, y),) = Reentrant(), data(1)
    probe = InternalCovariateShift(model, F.cross_entropy)
    F.cross_entropy(model(x), y).backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with pytest.raises(RuntimeError, match=r"reentrant checkpointing.*use_reentrant=False"), probe(x, y):
        optimizer.step()


TWO_RANKS = """
import os, sys, torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from bnstudy.probes import GradientHealth, InternalCovariateShift

def train(rank, probed):
    torch.manual_seed(0)
    bare = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    model = DistributedDataParallel(bare)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    shift, health = InternalCovariateShift(model, F.cross_entropy), GradientHealth(model)
    generator = torch.Generator().manual_seed(rank)
    for _ in range(2):
        x, y = torch.randn(6, 4, generator=generator), torch.randint(3, (6,), generator=generator)
        def step():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if not probed:
            step()
        elif rank == 0:  # passes of a probe wait for nobody
            with shift(x, y), health():
                step()
        else:
            with health():
                step()
    return [p.detach() for p in bare.parameters()], shift, health

rank = 0 if os.fork() else 1
dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=rank, world_size=2)
plain, probed = train(rank, False), train(rank, True)
assert all(map(torch.equal, plain[0], probed[0])), "weights"
ends = [None, None]
health = probed[2].frame()
dist.all_gather_object(ends, (health.value.tolist(), [p.tolist() for p in probed[0]]))
assert ends[0] == ends[1], "reduced gradients, equal weights"

sharded = nn.Sequential(nn.Linear(2, 2))
fully_shard(sharded, mesh=init_device_mesh("cpu", (2,)))
try:
    GradientHealth(sharded)
except TypeError as error:
    said = str(error)
assert said.startswith("model is sharded over processes at '0' (FSDP); allowed: DDP, or a copy"), said
if rank == 0:
    frame = probed[1].frame()
    shift = frame[(frame.layer == "3") & (frame.quantity == "ics")].value
    assert len(shift) == 2 and (shift > 0).all(), frame
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    print("both ranks agree")
"""


def test_two_processes_end_where_they_end_without_probes(tmp_path):
    """DDP: a probe on one rank deadlocks nobody, and gradients are those that both ranks agreed on.

    What FSDP shards is refused.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TWO_RANKS, str(tmp_path / "meeting")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert "both ranks agree" in ended.stdout, ended.stderr


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 200), seed=st.integers(0, 99), double=st.booleans())
def test_percentiles_are_those_of_numpy(n, seed, double):
    drawn = np.random.default_rng(seed).normal(size=n).astype(np.float64 if double else np.float32)
    expected = np.percentile(drawn, (0, 15, 50, 85, 100)).tolist()
    assert percentiles(torch.from_numpy(drawn), (0, 15, 50, 85, 100)) == expected
    drawn[-1] = np.nan
    assert np.isnan(percentiles(torch.from_numpy(drawn), (15, 50))).all()
