"""What a run's looks record, against networks rebuilt from what they keep and evaluated by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnstudy.norm import Arm
from bnstudy.records.nodes import interpolate, node_decays
from bnstudy.records.spec import Look, RunSpec, SpecError, validate
from bnstudy.train.build import build_networks, learning_rates
from bnstudy.train.calibration import loss, temperature
from bnstudy.train.data import Dataset
from bnstudy.train.feed import DeviceData
from bnstudy.train.fleet import train_fleet, train_run
from bnstudy.train.images import held_out, train_images
from bnstudy.train.test_batches import in_test_batches, with_statistics
from tests.reference import averaged, forward, fresh

CHOICES = {"epochs": [1, 1.5, 2], "statistics": ["batch", "moving", "precise"], "decays": [0.5, 0.97]}


def spec(**changes):
    settings = {
        "dataset": "digits",
        "batch_size": 16,
        "epochs": 2,
        "zero_debias": ["none"],
        "evaluations": 0,
        "held_out": 10,
        "precision": "float64",
        "looks": [{**CHOICES, "hits": True, "snapshot": True, "test_batches": [1, 3]}],
    }
    return validate(RunSpec, {**settings, **changes})


@pytest.fixture(scope="module")
def images(digits):
    return Dataset("digits", digits.x_train[:42], digits.y_train[:42], digits.x_test[:11], digits.y_test[:11])


@pytest.fixture(scope="module")
def looked(images):
    return train_run(spec(), images, progress=False)


def rows(table, **chosen):
    every = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return [row for row in every if all(row[key] == value for key, value in chosen.items())]


def rebuilt(result, snapshot, images, **changes):
    """Return the network of a snapshot in float64, and the test images as it is shown them."""
    net = build_networks([spec(**changes)], [torch.Generator()]).double()
    flat = torch.from_numpy(result.tables["snapshot_parameters"][snapshot]).double()
    torch.nn.utils.vector_to_parameters(flat, net.parameters())
    return net, DeviceData(images, torch.float64, torch.device("cpu")).test


def test_a_snapshot_gives_the_recorded_rows_again_for_decays_that_it_does_not_hold(looked, images):
    for snapshot, step in enumerate(looked.tables["snapshots"]["step"]):
        net, test = rebuilt(looked, snapshot, images)
        x, y = test.batch(torch.arange(len(test))[:, None])
        for decay in (0.5, 0.97):
            averages = interpolate(looked.tables["snapshot_averages"][snapshot], decay, step)
            scores = with_statistics(net, torch.from_numpy(averages), test)
            [row] = rows(looked.tables["checkpoints"], step=step, statistics="moving", decay=decay)
            assert float(scores.losses.mean()) == pytest.approx(row["loss"], rel=1e-5)
            means, variances = (torch.from_numpy(a).split([64, 64, 32, 16, 10]) for a in averages)
            logits, _ = forward(net, x, list(zip(means, variances, strict=True)))
            loss = torch.nn.functional.cross_entropy(logits, y[:, 0])
            assert loss.item() == pytest.approx(row["loss"], rel=1e-5)


def test_hits_are_the_images_that_the_rebuilt_network_gets_right(looked, images):
    index, hits = looked.tables["hits_index"], looked.tables["hits"]
    assert len(hits) == len(index["step"])
    net, test = rebuilt(looked, 2, images)
    averages = interpolate(looked.tables["snapshot_averages"][2], 0.97, index["step"][-1])
    expected = with_statistics(net, torch.from_numpy(averages), test).hits[:, 0]
    [at] = [
        i
        for i, row in enumerate(rows(index))
        if row["step"] == looked.tables["snapshots"]["step"][2] and row["decay"] == 0.97
    ]
    bits = np.unpackbits(hits[at])
    assert bits[:11].astype(bool).tolist() == expected.tolist()
    assert not bits[11:].any()


def test_every_row_of_hits_counts_up_to_the_recorded_accuracy(looked):
    counted = np.unpackbits(looked.tables["hits"], axis=1).sum(1)
    for row, hits in zip(rows(looked.tables["hits_index"]), counted, strict=True):
        same = {key: row[key] for key in ("step", "statistics")}
        if row["order"]:
            same |= {"order": row["order"], "test_batch_size": row["test_batch_size"]}
            [found] = rows(looked.tables["test_batches"], **same)
        else:
            found = rows(looked.tables["checkpoints"], decay=row["decay"], split=row["split"], **same)[0]
        assert hits / row["images"] == pytest.approx(found["accuracy"])


@pytest.mark.parametrize("size", [1, 3, 11])
def test_many_test_batches_at_once_equal_one_forward_each(looked, images, size):
    net, test = rebuilt(looked, 1, images)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(size))
    moving = torch.stack([torch.zeros(186), torch.ones(186)]).double()
    met = in_test_batches(net, Arm(0.9), moving, test, order[:, None], size)
    averages = fresh(net)
    for batch in order.split(size):
        x, y = test.batch(batch[:, None])
        logits, moments = forward(net, x)
        losses = torch.nn.functional.cross_entropy(logits, y[:, 0], reduction="none")
        torch.testing.assert_close(met.scores.losses[batch, 0], losses, rtol=1e-9, atol=1e-9)
        assert met.scores.hits[batch, 0].tolist() == (logits.argmax(1) == y[:, 0]).tolist()
        averages = averaged(averages, moments)
    moved = torch.stack([torch.cat([m for m, _ in averages]), torch.cat([v for _, v in averages])])
    torch.testing.assert_close(met.moved, moved, rtol=1e-9, atol=1e-9)


def test_looking_changes_no_training(looked, images):
    blind = train_run(spec(looks=[{"epochs": [2]}]), images, progress=False)
    assert blind.tables["training"] == looked.tables["training"]


def test_members_of_a_fleet_are_seen_as_each_alone(images):
    look = {**CHOICES, "epochs": [0.5], "snapshot": True, "test_batches": [3]}
    specs = [spec(precision="float32", epochs=1, looks=[look], seed=seed) for seed in (0, 1)]
    together = train_fleet(specs, images, progress=False)
    for it, found in zip(specs, together, strict=True):
        alone = train_run(it, images, progress=False)
        for name in ("checkpoints", "test_batches"):
            assert found.tables[name]["loss"] == pytest.approx(alone.tables[name]["loss"], rel=1e-3)
        for name in ("snapshot_parameters", "snapshot_averages"):
            np.testing.assert_allclose(found.tables[name], alone.tables[name], rtol=1e-2, atol=1e-3)


def test_a_run_that_holds_images_out_sees_neither_them_nor_a_test_image_before_it_is_asked_to(images):
    on = {"splits": ["validation"]}
    settings = {"looks": [{"epochs": [0.5], **on}, {"ratio": 1.5, **on}], "epochs": 1, "precision": "float32"}
    found = train_run(spec(**settings), images, progress=False)
    other = Dataset("digits", images.x_train, images.y_train, 255 - images.x_test, images.y_test[::-1].copy())
    assert train_run(spec(**settings), other, progress=False).tables == found.tables
    assert {row["split"] for row in rows(found.tables["checkpoints"])} == {"validation"}


@given(st.integers(0, 50), st.integers(1, 30), st.sampled_from([None, 5, 20]))
def test_held_out_images_are_the_same_balanced_ones_and_are_not_trained_on(digits, seed, count, size):
    it = spec(seed=seed, held_out=count, train_size=size, looks=[{"epochs": [1]}])
    held, trained = held_out(it, digits).tolist(), train_images(it, digits).tolist()
    assert held == held_out(spec(seed=0, held_out=count), digits).tolist()
    assert not set(held) & set(trained)
    assert len(set(trained)) == len(trained)
    assert len(trained) == (size or len(digits.y_train) - count)
    counts = np.bincount(digits.y_train[held], minlength=10)
    assert counts.max() - counts.min() <= 1


def test_the_rate_is_constant_and_then_falls_to_zero_on_a_line():
    it = spec(schedule="constant_then_annealed", epochs=5, annealed_epochs=2, learning_rate=0.5)
    rates = learning_rates(it, 20)
    assert rates[:12] == [0.5] * 12
    assert rates[12:] == pytest.approx([0.5 * (8 - k) / 8 for k in range(8)])


@given(st.floats(1.05, 3.0), st.integers(1, 10_000))
def test_steps_in_a_geometric_ratio(ratio, total):
    steps = Look(ratio=ratio).steps(total, 1)
    assert steps[0] == 1
    assert steps[-1] <= total < steps[-1] * ratio + 1
    assert steps == sorted(set(steps))


@settings(deadline=None, max_examples=40)
@given(st.floats(0.0, 0.9999), st.integers(1, 200), st.booleans())
def test_any_decay_follows_from_the_nodes(decay, steps, debiased):
    moments = np.stack([np.sin(np.arange(steps) / 50), 2 + np.cos(np.arange(steps) / 9)], 1)[:, :, None]

    def average(d):
        value = np.array([[0.0], [1.0]])
        for moment in moments:
            value = value - (value - moment) * (1.0 - d)
        return value

    expected = average(decay)
    if debiased:
        expected = (expected - decay**steps * np.array([[0.0], [1.0]])) / (1 - decay**steps)
    found = interpolate(np.stack([average(d) for d in node_decays()]), decay, steps, debiased)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_look_at_its_defaults_leaves_the_name_of_a_run_alone():
    assert '"looks":[{"epochs":[2.0]}]' in spec(looks=[{"epochs": [2], "hits": False}]).canonical()
    assert "looks" not in RunSpec().canonical()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"looks": [{"epochs": [3]}]}, r"after \[3.0\] epochs; allowed: at most 2"),
        ({"looks": [{"epochs": [1], "ratio": 2}]}, "allowed: one of the two"),
        ({"looks": [{"ratio": 2, "hits": True}]}, "allowed: none"),
        ({"looks": [{"epochs": [1], "splits": ["validation"]}], "held_out": 0}, "held_out above 0"),
        ({"looks": [{"epochs": [1], "splits": ["train"], "images": 5}]}, "split 'train'; allowed: None"),
        ({"looks": []}, "evaluations is 0 without looks"),
        ({"schedule": "constant_then_annealed"}, "annealed_epochs is 0; allowed: 1 to 2"),
        ({"annealed_epochs": 1}, "constant_then_annealed"),
        ({"in_turn": True}, "optimizer='sgd'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, message):
    with pytest.raises(SpecError, match=message):
        spec(**changes)


def test_more_images_held_out_than_there_are_is_refused(images):
    with pytest.raises(ValueError, match="held_out is 42; allowed: at most 40"):
        train_run(spec(held_out=42), images, progress=False)


def test_layers_in_turn_are_updated_one_a_step(images):
    settings = {"optimizer": "sgd", "in_turn": True, "epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    looks = [{"epochs": [0.25, 0.5, 0.75, 1.0], "snapshot": True}]
    found = train_run(spec(**settings, looks=looks, precision="float32"), images, progress=False)
    kept = found.tables["snapshot_parameters"]
    sizes = [sum(p.numel() for p in block.parameters()) for block in build_networks([spec()], [None]).blocks]
    for before, after, turn in zip(kept[:-1], kept[1:], range(1, 4), strict=True):
        moved = [part.any() for part in np.split(after != before, np.cumsum(sizes)[:-1])]
        assert moved == [block == turn for block in range(5)]


@given(st.integers(0, 10_000), st.floats(0.2, 5.0))
@settings(deadline=None, max_examples=20)
def test_the_temperature_is_the_minimum_of_a_grid(seed, scale):
    source = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(60, 4, generator=source)
    labels = (logits + 2 * scale * torch.randn(60, 4, generator=source)).argmax(1)
    best = temperature(logits, labels)
    assert all(
        loss(logits, labels, at=best) <= loss(logits, labels, at=t) + 1e-9
        for t in np.geomspace(0.01, 100, 60)
    )


def test_calibration_of_a_run_is_that_of_its_rebuilt_network(images):
    look = {"epochs": [1], "splits": ["test", "train", "validation"], "calibrate": True, "snapshot": True}
    found = train_run(spec(epochs=1, looks=[look]), images, progress=False)
    net, test = rebuilt(found, 0, images, epochs=1, looks=[look])
    [step] = found.tables["snapshots"]["step"]
    averages = torch.from_numpy(interpolate(found.tables["snapshot_averages"][0], 0.9, step))
    held = DeviceData(images, torch.float64, torch.device("cpu")).train
    pairs = {"test": (test, torch.arange(11)), "validation": (held, held_out(spec(), images))}
    layers = list(zip(*(a.split([64, 64, 32, 16, 10]) for a in averages), strict=True))
    logits = {}
    for split, (data, index) in pairs.items():
        x, y = data.batch(index[:, None])
        logits[split] = (forward(net, x, layers)[0], y[:, 0])
    best = temperature(*logits["validation"])
    for split, pair in logits.items():
        [row] = rows(found.tables["calibration"], split=split)
        assert row["temperature"] == pytest.approx(best, rel=1e-3)
        assert row["loss"] == pytest.approx(loss(*pair), rel=1e-5)
        assert row["scaled_loss"] == pytest.approx(loss(*pair, at=best), rel=1e-4)
        [seen] = rows(found.tables["checkpoints"], split=split)
        assert row["loss"] == pytest.approx(seen["loss"], rel=1e-6)
