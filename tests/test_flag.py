"""The flag at test time, against a network by hand that is shown the same batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bnstudy.norm import Arm
from bnstudy.records.spec import RunSpec, SpecError, validate
from bnstudy.records.store import Store
from bnstudy.records.tables import columns_of, to_csv
from bnstudy.study.engine import run_all
from bnstudy.train.data import Dataset
from bnstudy.train.feed import DeviceData
from bnstudy.train.flag import ORDERS, flag_table
from bnstudy.train.fleet import train_fleet, train_run
from bnstudy.train.seeds import TEST_ORDER, generator
from tests.reference import Look, averaged, forward, fresh

SIZES = (1, 7, 50)  # of 20 test images: alone, with a shorter last batch, all at once


@pytest.fixture(scope="module")
def images(digits):
    return Dataset("digits", digits.x_train[:24], digits.y_train[:24], digits.x_test[:20], digits.y_test[:20])


def spec(**changes):
    settings = {
        "dataset": "digits",
        "batch_size": 8,
        "epochs": 1,
        "zero_debias": ["none"],
        "statistics": ["moving"],
        "evaluations": 1,
        "precision": "float64",
        "test_batches": SIZES,
        "seed": 3,
    }
    return RunSpec(**{**settings, **changes})


@pytest.fixture(scope="module")
def trained(images):
    """A trained run's result, its network, and the averages that its training gives by hand."""
    averages = []

    def absorb(net, x, y):
        averages.append(averaged(averages[-1] if averages else fresh(net), forward(net, x)[1]))

    look = Look(before=absorb)
    result = train_run(spec(), images, progress=False, watch=look)
    return result, look.net, averages[-1]


def scores(net, x, y, batches, averages=None):
    """Return loss and accuracy over the batches, with `averages` or the batches' own moments."""
    logits = [forward(net, x[index], averages)[0] for index in batches]
    labels = torch.cat([y[index] for index in batches])
    found = torch.cat(logits)
    return F.cross_entropy(found, labels).item(), (found.argmax(1) == labels).double().mean().item()


def test_the_table_is_that_of_a_network_by_hand(images, trained):
    result, net, averages = trained
    data = DeviceData(images, torch.float64, torch.device("cpu"))
    x, y = data.test.batch(torch.arange(20)[:, None])
    y = y[:, 0]
    orders = {
        "shuffled": torch.randperm(20, generator=generator(3, TEST_ORDER)),
        "sorted by class": torch.from_numpy(np.argsort(images.y_test, kind="stable")),
    }
    expected = []
    with torch.no_grad():
        for name, order in orders.items():
            for size in SIZES:
                batches = order.split(size)
                leaked = averages
                for index in batches:
                    leaked = averaged(leaked, forward(net, x[index])[1])
                expected += [
                    (name, size, "moving", *scores(net, x, y, [order], averages)),
                    (name, size, "batch", *scores(net, x, y, batches)),
                    (name, size, "leaked", *scores(net, x, y, [order], leaked)),
                ]
    table = result.tables["flag"]
    assert ["run", *table] == columns_of("flag")
    rows = list(zip(*table.values(), strict=True))
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    np.testing.assert_allclose([r[3] for r in rows], [r[3] for r in expected], rtol=1e-9)
    np.testing.assert_allclose([r[4] for r in rows], [r[4] for r in expected])
    # Flag, size and order all matter, save that one batch of everything is the same in any order, and that
    # every image alone is too, until the averages remember the order.
    losses = {row[:3]: round(row[3], 6) for row in rows}
    assert len(set(losses.values())) == 1 + (2 + 1 + 1) + (2 + 2 + 1)
    for size in (1, 50):
        assert losses["shuffled", size, "batch"] == losses["sorted by class", size, "batch"]


def test_off_is_the_evaluation_with_moving_averages(trained):
    result, _, _ = trained
    flag, evaluation = result.tables["flag"], result.tables["evaluation"]
    [expected] = {
        (loss, accuracy)
        for split, loss, accuracy in zip(*(evaluation[c] for c in ("split", "loss", "accuracy")), strict=True)
        if split == "test"
    }
    rows = zip(*(flag[c] for c in ("statistics", "loss", "accuracy")), strict=True)
    off = [row[1:] for row in rows if row[0] == "moving"]
    assert len(off) == len(ORDERS) * len(SIZES)
    for loss, accuracy in off:
        assert loss == pytest.approx(expected[0], rel=1e-12)
        assert accuracy == pytest.approx(expected[1])


def test_it_changes_nothing_else_in_the_result(images, trained):
    plain = train_run(spec(test_batches=[]), images, progress=False)
    assert "flag" not in plain.tables
    assert {name: table for name, table in trained[0].tables.items() if name != "flag"} == plain.tables


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_is(images, trained, training):
    net = trained[1]
    net.train(training)
    for layer in net.norm_layers():
        layer.updates = "in_place"
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    data = DeviceData(images, torch.float64, torch.device("cpu"))
    moving = torch.stack([torch.zeros(186), torch.ones(186)]).double()
    table = flag_table(net, Arm(0.9), moving, data.test, [5], torch.Generator().manual_seed(0))
    assert len(table["loss"]) == 6
    assert [module.training for module in net.modules()] == modes
    after = net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_dropout_and_noise_are_off(images):
    """They would give other numbers with every draw; the two passes of one order and size are alike."""
    run = spec(dropout=0.5, norm="noisy", precision="float32", test_batches=[50])
    flag = train_run(run, images, progress=False).tables["flag"]
    batch = [loss for loss, kind in zip(flag["loss"], flag["statistics"], strict=True) if kind == "batch"]
    assert len(batch) == 2
    assert batch[0] == pytest.approx(batch[1], rel=1e-5)


def test_a_run_that_diverges_has_an_empty_table(images):
    wild = spec(norm_last=False, relu_on_logits=False, learning_rate=1e20, precision="float32")
    result = train_run(wild, images, progress=False)
    assert result.outcome.startswith("diverged")
    assert to_csv("flag", wild.name, result.tables["flag"]).count(b"\n") == 1


def test_such_a_run_is_no_member_of_a_fleet(images, tmp_path):
    message = "test_batches is given for 2 runs side by side; allowed: for one run"
    with pytest.raises(ValueError, match=message):
        train_fleet([spec(), spec(seed=4)], images, progress=False)
    store = Store(tmp_path)
    quick = {"train_size": 8, "precision": "bfloat16", "test_batches": [360]}
    specs = [spec(**quick, seed=seed) for seed in (0, 1)]
    report = run_all(specs, store, fleet=2, progress=False)
    assert report.trained == [own.name for own in specs]
    for own in specs:
        record = store.read(own.name)
        assert "fleet" not in record.provenance
        assert store.table(record, "flag").count(b"\n") == 1 + 2 * 3


def test_sizes_count_once_in_any_order():
    assert spec(test_batches=[7, 1, 50, 7]) == spec()
    assert spec(test_batches="[50, 1, 7]").name == spec().name
    assert spec(test_batches=7).test_batches == (7,)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"test_batches": [0]}, "test_batches is 0; allowed: a list of integers of at least 1, each once"),
        ({"test_batches": [5]}, None),
        (
            {"test_batches": [5], "decays": [0.5, 0.9]},
            r"test_batches is \(5,\) with decays \[0.5, 0.9\] and .*; allowed: one decay, and 'none' among",
        ),
        ({"test_batches": [5], "zero_debias": ["both"]}, "'none' among zero_debias"),
        (
            {"test_batches": [5], "updates": "never", "zero_debias": ["none"]},
            r"test_batches is \(5,\); allowed: \(\), or updates='bank' with it",
        ),
        (
            {"test_batches": [5], "norm": "none"},
            r"test_batches is \(5,\); allowed: \(\), or norm='batch' or norm='noisy' with it",
        ),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(parameters, message):
    if message is None:
        assert validate(RunSpec, parameters).alone()
        return
    with pytest.raises(SpecError, match=message):
        validate(RunSpec, parameters)
