"""Snapshots looked at again, against what was seen in training with arms that were kept for it."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnstudy.norm import Arm
from bnstudy.norm.kernel import statistics_dtype
from bnstudy.records.arrays import to_npy
from bnstudy.records.snapshots import has_snapshots, read_snapshots
from bnstudy.records.spec import Look, RunSpec, SpecError, validate
from bnstudy.records.store import HEADER, RecordError, Store, written
from bnstudy.records.tables import to_frame
from bnstudy.train.by_batch import in_test_batches
from bnstudy.train.data import Dataset
from bnstudy.train.feed import DeviceData
from bnstudy.train.fleet import Fleet, train_fleet
from bnstudy.train.look_again import LookAgain, restore
from bnstudy.train.network import ArticleNet
from bnstudy.train.quick_batches import in_test_batches_quickly
from tests.reference import forward

# Between the nodes, at a node, the smallest and the largest, and where a decay has hardly left its start.
DECAYS = (0.0, 0.3, 0.9, 0.97, 0.995, 0.9999)
ZERO_DEBIAS = ("none", "mean", "both")
PLANNED = {
    "epochs": [1, 2],
    "splits": ["test", "train"],
    "statistics": ["batch", "frozen", "moving", "precise"],
    "decays": [0.0, 0.97, 0.9999],
    "zero_debias": ["none", "both"],
    "test_batches": [1, 4],
    "precise_images": 20,
    "hits": True,
}
# What doesn't rest on interpolated averages has to come out bit for bit.
EXACT = ("batch", "precise", "frozen")
# Of an interpolated average, as a share of how far averages of all decays lie apart.
ERROR = 1e-5


def spec(**changes):
    base = {"dataset": "digits", "batch_size": 16, "epochs": 2, "zero_debias": ["none"], "evaluations": 0}
    return validate(RunSpec, {**base, "looks": [{**PLANNED, "snapshot": True}], **changes})


@pytest.fixture(scope="module")
def images(digits):
    return Dataset("digits", digits.x_train[:42], digits.y_train[:42], digits.x_test[:20], digits.y_test[:20])


@pytest.fixture(scope="module")
def store(images, tmp_path_factory):
    """Two seeds, trained side by side, whose planned look is the truth that a later one has to give again."""
    folder = Store(tmp_path_factory.mktemp("records"))
    look = {"epochs": [1, 2], "decays": [0.5, 0.97], "images": 8, "snapshot": True}
    specs = [spec(seed=seed, looks=[look]) for seed in (3, 4)]
    for it, result in zip(specs, train_fleet(specs, images, progress=False), strict=True):
        folder.write(it, {}, result.outcome, result.tables)
    return folder


@pytest.fixture(scope="module")
def alone(images, tmp_path_factory):
    folder = Store(tmp_path_factory.mktemp("record"))
    [result] = train_fleet([spec()], images, progress=False)
    return folder, folder.write(spec(), {}, result.outcome, result.tables), result.tables


def rows(table):
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def test_a_look_afterwards_sees_what_a_planned_one_saw(alone, images):
    folder, record, planned = alone
    found = LookAgain(images)(read_snapshots(record, folder), validate(Look, PLANNED))
    for name in ("checkpoints", "test_batches", "hits_index"):
        truth, again = rows(planned[name]), rows(found[name])
        assert len(truth) == len(again) > 0
        for row, new in zip(truth, again, strict=True):
            exact = row["statistics"] in EXACT or name == "hits_index"
            for column, value in row.items():
                if column == "loss" and not exact:
                    # In bfloat16 an average a millionth off may round an activation the other way.
                    assert new[column] == pytest.approx(value, rel=2e-3), row
                elif column == "accuracy" and not exact:
                    assert abs(new[column] - value) <= 1.01 / 20, row  # one image at most
                else:
                    assert new[column] == value or (value is None and new[column] is None), (column, row)
    differ = np.unpackbits(found["hits"] ^ planned["hits"], axis=1).sum(1)
    assert differ.max() <= 1
    assert differ.mean() < 0.02


def test_interpolated_averages_are_those_of_arms_kept_in_training(images, tmp_path):
    look = {"epochs": [2], "decays": DECAYS, "zero_debias": ZERO_DEBIAS, "images": 2, "snapshot": True}
    it = spec(precision="float32", looks=[look])
    fleet = Fleet([it], images, torch.device("cpu"))
    [result] = fleet.train(progress=False)
    folder = Store(tmp_path)
    snapshot = read_snapshots(folder.write(it, {}, result.outcome, result.tables), folder)[-1]
    # How far averages lie apart that differ in their decay alone.
    spread = np.ptp(snapshot.averages, axis=0) + 1e-3
    for decay in DECAYS:
        for zero_debias in ZERO_DEBIAS:
            truth = fleet.bank.statistics(Arm(decay, zero_debias)).double().numpy()
            found = snapshot.statistics(decay, zero_debias)
            # What is divided by the little that is filled in has its rounding enlarged.
            filled = 1.0 if zero_debias == "none" else 1.0 - decay**fleet.total
            assert (np.abs(found - truth) / spread).max() < ERROR / filled, (decay, zero_debias)


def test_members_of_a_fleet_are_looked_at_alone(store, images):
    again = LookAgain(images)
    for record in store.records():
        planned = to_frame("checkpoints", [store.table(record, "checkpoints")]).to_dict("records")
        found = again(
            read_snapshots(record, store), record.spec.looks[0].model_copy(update={"snapshot": False})
        )
        assert [row["decay"] for row in planned] == found["checkpoints"]["decay"]
        assert found["checkpoints"]["loss"] == pytest.approx([row["loss"] for row in planned], rel=1e-2)


@settings(deadline=None, max_examples=10)
@given(st.floats(0.0, 0.9999), st.sampled_from([0, 1]))
def test_a_restored_network_computes_with_any_decay(alone, images, decay, at):
    folder, record, _ = alone
    snapshot = read_snapshots(record, folder)[at]
    net = restore(snapshot, decay).double()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    means, variances = (torch.from_numpy(a).split([64, 64, 32, 16, 10]) for a in snapshot.statistics(decay))
    expected, _ = forward(net, x, list(zip(means, variances, strict=True)))
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)
    assert not net.training


@pytest.mark.parametrize("size", [1, 3, 16, 20])
@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_quick_test_batches_equal_those_of_training(images, size, precision):
    dtype = getattr(torch, precision)
    net = ArticleNet(generator=torch.Generator().manual_seed(size)).to(statistics_dtype(dtype))
    net.to(memory_format=torch.channels_last)
    test = DeviceData(images, dtype, torch.device("cpu")).test
    order = torch.randperm(20, generator=torch.Generator().manual_seed(size))[:, None]
    moving = torch.stack([torch.zeros(186), torch.ones(186)]).to(statistics_dtype(dtype))
    slow, quick = (
        f(net, Arm(0.9), moving, test, order, size) for f in (in_test_batches, in_test_batches_quickly)
    )
    tolerance = 1e-9 if precision == "float64" else 2e-2
    torch.testing.assert_close(quick.scores.losses, slow.scores.losses, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(quick.moved, slow.moved, rtol=tolerance, atol=tolerance)
    assert int((quick.scores.hits != slow.scores.hits).sum()) <= (precision == "bfloat16")


def test_test_batches_after_the_fact_are_those_of_training(alone, images):
    folder, record, planned = alone
    found = LookAgain(images).by_test_batch(
        read_snapshots(record, folder), [1, 4], ["shuffled", "sorted by class"], leaked=True
    )
    truth = rows(planned["test_batches"])
    again = {tuple(row[c] for c in list(row)[:4]): row for row in rows(found)}
    assert len(truth) == len(again) == 16
    for row in truth:
        new = again[tuple(row[c] for c in list(row)[:4])]
        assert new["loss"] == pytest.approx(row["loss"], rel=1e-2)
        assert abs(new["accuracy"] - row["accuracy"]) <= 1.01 / 20


def test_a_gamma_is_left_to_the_slow_way(images):
    net = ArticleNet(scale=True, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for layer in net.norm_layers():
            layer.gamma.neg_()
    test = DeviceData(images, torch.float64, torch.device("cpu")).test
    order, moving = torch.arange(20)[:, None], torch.stack([torch.zeros(186), torch.ones(186)]).double()
    slow, quick = (
        f(net, Arm(0.9), moving, test, order, 4) for f in (in_test_batches, in_test_batches_quickly)
    )
    torch.testing.assert_close(quick.scores.losses, slow.scores.losses)


@pytest.mark.parametrize(
    ("sizes", "orders", "message"),
    [
        ([0], ["shuffled"], "test_batches is 0; allowed: 1 to 20"),
        ([4], ["random"], "order is 'random'; allowed: 'shuffled' or 'sorted by class'"),
    ],
)
def test_test_batches_that_there_are_not_are_refused(alone, images, sizes, orders, message):
    folder, record, _ = alone
    with pytest.raises(SpecError, match=message):
        LookAgain(images).by_test_batch(read_snapshots(record, folder), sizes, orders)


def test_a_network_without_batch_norm_is_looked_at_too(images, tmp_path):
    looks = [{"epochs": [1], "splits": ["test", "train"], "hits": True}, {"epochs": [1], "snapshot": True}]
    it = spec(norm="none", epochs=1, looks=looks)
    folder = Store(tmp_path)
    [result] = train_fleet([it], images, progress=False)
    record = folder.write(it, {}, result.outcome, result.tables)
    [snapshot] = read_snapshots(record, folder)
    found = LookAgain(images)([snapshot], validate(Look, looks[0]))
    planned = {c: v[: len(found["checkpoints"][c])] for c, v in result.tables["checkpoints"].items()}
    assert found["checkpoints"] == planned
    with pytest.raises(ValueError, match="has no batch norm"):
        restore(snapshot, 0.9)
    assert restore(snapshot)(torch.zeros(1, 3, 32, 32)).isfinite().all()
    with pytest.raises(SpecError, match=r"test_batches is \[4\] without batch norm"):
        LookAgain(images)([snapshot], Look(epochs=(1,), test_batches=(4,)))


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ({"epochs": [1.4]}, r"after steps \[4\] of run \w+; allowed: \[3, 6\]"),
        ({"decays": [0.99995]}, "decay is 0.99995; allowed: 0 to 0.9999"),
        ({"precise_images": 43}, "precise_images is 43; allowed: at most 42"),
        ({"test_batches": [21]}, "test_batches is 21; allowed: at most 20"),
        ({"images": 21}, "images is 21; allowed: at most 20"),
        ({"snapshot": True}, "allowed: epochs, without snapshot"),
        ({"splits": ["validation"]}, "held_out above 0"),
    ],
)
def test_what_a_snapshot_cannot_answer_is_refused_by_name(alone, images, look, message):
    folder, record, _ = alone
    with pytest.raises(ValueError, match=message):
        LookAgain(images)(read_snapshots(record, folder), validate(Look, {"epochs": [2], **look}))


def test_snapshots_of_another_data_set_or_precision_are_refused(alone, images, few_digits):
    folder, record, _ = alone
    snapshots = read_snapshots(record, folder)
    with pytest.raises(ValueError, match="precision is 'float32'; allowed: 'bfloat16'"):
        LookAgain(images, "float32")(snapshots, Look(epochs=(2,)))
    other = Dataset("cifar10", *(getattr(few_digits, a) for a in ("x_train", "y_train", "x_test", "y_test")))
    with pytest.raises(ValueError, match="dataset is 'cifar10'; allowed: 'digits'"):
        LookAgain(other)(snapshots, Look(epochs=(2,)))


@pytest.fixture
def copied(alone, tmp_path):
    """A copy of the record, to be damaged, and how to replace a file of it without breaking its checksums."""
    folder, record, _ = alone
    target = Store(tmp_path).path(record.spec)
    shutil.copytree(folder.path(record.spec), target)

    def replace(file, content):
        (target / file).write_bytes(gzip.compress(content) if file.endswith(".gz") else content)
        body = json.loads((target / HEADER).read_bytes())
        body["tables"][file.partition(".")[0]] = hashlib.sha256(content).hexdigest()
        (target / HEADER).write_bytes(written(body))
        return Store(tmp_path).read(record.spec.name)

    return Store(tmp_path), record, replace


@pytest.mark.parametrize("name", ["snapshot_parameters.npy", "snapshot_averages.npy", "snapshots.csv.gz"])
def test_a_flipped_bit_is_refused_by_the_name_of_record_and_file(copied, name):
    folder, record, _ = copied
    file = folder.path(record.spec) / name
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(
        RecordError, match=rf"{record.spec.name} is damaged: {name} (doesn't match its|can't be unpacked)"
    ):
        read_snapshots(record, folder)


def test_what_was_never_a_snapshot_is_refused_though_its_checksums_are_right(copied, images):
    folder, record, replace = copied
    [first, last] = read_snapshots(record, folder)
    weights, averages = (np.stack([getattr(s, a) for s in (first, last)]) for a in ("parameters", "averages"))
    name = record.spec.name
    short = replace("snapshot_parameters.npy", to_npy("snapshot_parameters", weights[:, :-1]))
    with pytest.raises(ValueError, match=rf"run {name} after step 3 has \(weights, channels\)"):
        LookAgain(images)(read_snapshots(short, folder), Look(epochs=(1,)))
    for content, message in (
        (to_npy("snapshot_averages", averages[:, :39]), r"\(2, 39, 2, 186\); needed: \[snapshots, 40"),
        (to_npy("snapshot_averages", averages[:1]), "snapshots.csv.gz has 2 rows"),
    ):
        with pytest.raises(RecordError, match=rf"{name} is damaged: .*{message}"):
            read_snapshots(replace("snapshot_averages.npy", content), folder)
    replace("snapshot_averages.npy", to_npy("snapshot_averages", averages))
    twice = replace("snapshots.csv.gz", f"run,step\n{name},6\n{name},6\n".encode())
    with pytest.raises(RecordError, match=r"the steps \[6, 6\], not each once"):
        read_snapshots(twice, folder)


def test_a_record_without_snapshots_has_none(images, tmp_path):
    it = spec(epochs=1, looks=[{"epochs": [1]}])
    folder = Store(tmp_path)
    [result] = train_fleet([it], images, progress=False)
    record = folder.write(it, {}, result.outcome, result.tables)
    assert not has_snapshots(record)
    assert read_snapshots(record, folder) == []
    with pytest.raises(ValueError, match="snapshots is empty"):
        LookAgain(images)([], Look(epochs=(1,)))


def test_snapshots_are_read_without_torch():
    code = "import sys, bnstudy.records.snapshots; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
