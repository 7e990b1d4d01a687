"""Probes and diagnoses inside a watch: they run, measure the same, and what they do is no training."""

from __future__ import annotations

import contextlib

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnstudy import doctor, probes
from bnstudy.doctor.watching import Watch

PROBES = {
    "shift": lambda m, x: probes.InternalCovariateShift(m, F.cross_entropy),
    "drift": lambda m, x: probes.ActivationDrift(m),
    "moments": lambda m, x: probes.Gaussianity(m),
    "predictiveness": lambda m, x: probes.GradientPredictiveness(m, F.cross_entropy, learning_rate=0.1),
    "gap": lambda m, x: probes.StatisticsGap(m, [x, x + 1]),
}


def data():
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(16, 12, generator=generator), torch.arange(16) % 5) for _ in range(4)]


def trained(watched, probing=None, between=None):
    """Train a net; return it, what the watch saw and the probe's values."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 5))
    optimizer = torch.optim.SGD(net.parameters(), 0.3)
    probe = None if probing is None else PROBES[probing](net, data()[0][0])
    with doctor.watch(net, optimizer) if watched else contextlib.nullcontext() as seen:
        for x, y in data():
            with contextlib.nullcontext() if probe is None else probe(x, y):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            if between is not None:
                between(net)
    return net, seen, None if probe is None else probe.frame()


def counts(seen: Watch):
    """Return every number that a watch counted."""
    (record,) = seen.history.layers
    kinds = (int, bool, tuple, frozenset)
    kept = {
        name: value for name, value in vars(record).items() if isinstance(value, kinds) and name != "_written"
    }
    kept |= {"images": dict(record.images), "values": dict(record.values), "window": vars(record.window)}
    return kept, seen.history.steps, seen.history.skipped


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_inside_a_watch_measures_the_same_and_is_no_training(name):
    plain, seen, _ = trained(True)
    probed, seen_probed, inside = trained(True, name)
    _, _, alone = trained(False, name)
    pd.testing.assert_frame_equal(inside, alone)
    assert counts(seen_probed) == counts(seen)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), probed.parameters(), strict=True))
    assert seen_probed.report().to_json() == seen.report().to_json()


def test_a_diagnosis_inside_a_watch_is_no_training():
    _, seen, _ = trained(True)
    reports = []
    _, diagnosed, _ = trained(
        True, between=lambda net: reports.append(doctor.diagnose(net, data(), data(), progress=False))
    )
    _, _, _ = trained(
        False, between=lambda net: reports.append(doctor.diagnose(net, data(), data(), progress=False))
    )
    assert counts(diagnosed) == counts(seen)
    assert [r.to_json() for r in reports[:4]] == [r.to_json() for r in reports[4:]]


def test_a_watch_around_a_wrapper_leads_a_probe_no_further_than_the_model():
    # What lies in wrappers, such as process groups, can't be kept.
    model = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))
    wrapper = nn.DataParallel(model)
    wrapper.rows = iter(range(3))
    x, y = data()[0]
    with doctor.watch(wrapper) as seen, probes.InternalCovariateShift(model, F.cross_entropy)(x, y):
        F.cross_entropy(wrapper(x), y).backward()
    assert sum(seen.history.layers[0].images.values()) == 1
