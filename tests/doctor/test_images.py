"""Batches of any make: which parts are by image, leaks among them, and batches of a single image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bnstudy import doctor
from bnstudy.doctor.images import size_of, with_other_neighbours


class Net(nn.Module):
    """A small network of images; with ``leak`` it takes the batch's mean from them."""

    def __init__(self, leak=False, colours=3):
        super().__init__()
        torch.manual_seed(0)
        self.leak = leak
        pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
        self.m = nn.Sequential(nn.Conv2d(colours, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), *pooled)

    def forward(self, x):
        return self.m(x - x.mean(0) if self.leak else x)


def images(n, colours=3):
    return torch.rand(n, colours, 8, 8), torch.arange(n) % 4


def of_lists(n, colours=3):
    x, y = images(n, colours)
    return list(x), list(y)


def stacked(model, batch):
    return model(torch.stack(batch[0])), torch.stack(batch[1])


def of_dicts(n):
    x, y = images(n)
    return {"domain": torch.tensor([0]), "mean": torch.rand(()), "x": x, "name": ["a"] * n, "y": y}


def named(model, batch):
    return model(batch["x"]), batch["y"]


def of_samples(n):
    x, y = images(n)
    return [{"image": a, "label": b, "path": "a.png"} for a, b in zip(x, y, strict=True)]


def sampled(model, batch):
    return model(torch.stack([b["image"] for b in batch])), torch.stack([b["label"] for b in batch])


MAKES = {
    "pairs": (images, None),
    "lists": (of_lists, stacked),
    "dicts": (of_dicts, named),
    "a list of samples": (of_samples, sampled),
}


def leak_of(report):
    return next((f for f in report.findings if f.code == "batch-leak"), None)


def untold(report):
    return any("Whether outputs depend" in remark for remark in report.remarks)


# 3 and 8 are as many as colours and rows; a pair has 2 members.
@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("name", MAKES)
def test_leaks_are_found_in_batches_of_any_make_and_none_where_there_is_none(name, n):
    make, forward = MAKES[name]
    torch.manual_seed(n)
    data = [make(n) for _ in range(2)]
    for leak in (False, True):
        report = doctor.diagnose(Net(leak), data, data, forward=forward, progress=False)
        assert not untold(report)
        assert (leak_of(report) is not None) == leak


def _in_order(x, places):
    if len(set(map(int, places))) < len(x):
        raise RuntimeError("a place is missing")
    return x[torch.stack(places)]


UNTOLD = {
    # Three images of three colours, and nothing else tells the list from three inputs.
    "a list of images alone": (
        lambda: (list(torch.rand(3, 3, 8, 8)), torch.arange(3)),
        lambda m, b: (m(torch.stack(b[0])), b[1]),
    ),
    # The axis of images isn't the first: exchanging targets alone shows nothing.
    "images on another axis": (
        lambda: (torch.rand(3, 8, 8, 6), torch.arange(6) % 4),
        lambda m, b: (m(b[0].permute(3, 0, 1, 2)), b[1]),
    ),
    "a list of as many edges as images": (
        lambda: (
            {"x": torch.rand(6, 3, 8, 8), "of": [torch.tensor(i) for i in range(6)]},
            torch.arange(6) % 4,
        ),
        lambda m, b: (m(_in_order(b[0]["x"], b[0]["of"])), b[1]),
    ),
    "an object": (
        lambda: (type("Graph", (), {"x": torch.rand(6, 3, 8, 8)})(), torch.arange(6) % 4),
        lambda m, b: (m(b[0].x), b[1]),
    ),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_where_it_can_t_be_told_what_is_by_image_no_leak_is_claimed_and_the_report_says_so(name):
    make, forward = UNTOLD[name]
    torch.manual_seed(0)
    data = [make() for _ in range(3)]
    for leak in (False, True):
        report = doctor.diagnose(Net(leak), data, data, forward=forward, progress=False)
        assert leak_of(report) is None
        assert untold(report)


def test_sizes_of_batches():
    x, y = images(6)
    assert size_of((x, y)) == size_of({"one": torch.zeros(1), "x": x, "y": y}) == 6
    assert size_of((list(x), list(y))) == size_of(of_samples(6)) == 6
    assert size_of((list(torch.rand(5, 1, 8, 8)), list(torch.arange(5)))) == 5
    assert size_of((x, y[:5])) is None
    assert size_of((x, y[:5]), torch.rand(6, 4)) == 6
    assert size_of((3, "text")) is None


def test_the_first_half_stays_and_the_second_is_other_images():
    x, y = images(5)
    batch = {"x": x, "y": list(y), "size": (8, 8), "grid": torch.rand(7)}
    mixed = with_other_neighbours(batch, 5)
    assert torch.equal(mixed["x"], x[[0, 1, 0, 1, 0]])
    assert torch.equal(torch.stack(mixed["y"]), y[[0, 1, 0, 1, 0]])
    assert mixed["size"] == (8, 8)
    assert mixed["grid"] is batch["grid"]
    assert with_other_neighbours({"x": x[:1]}, 1) is None
    assert with_other_neighbours({"x": x, "other": object()}, 5) is None


SINGLES = {
    "images": (lambda: images(1), None, 3),
    "lists of gray images": (lambda: of_lists(1, 1), stacked, 1),
    "a number first": (lambda: of_dicts(1), named, 3),
}


@pytest.mark.parametrize("name", SINGLES)
def test_batches_of_one_image_give_statistics_where_there_are_positions(name):
    make, forward, colours = SINGLES[name]
    torch.manual_seed(0)
    data, model = [make() for _ in range(20)], Net(colours=colours)
    report = doctor.diagnose(model, data, data, forward=forward, progress=False)
    with torch.no_grad():
        x = [b["x"] if isinstance(b, dict) else b[0] for b in data]
        reached = model.m[0](torch.cat([torch.stack(i) if isinstance(i, list) else i for i in x])).double()
    variance, mean = torch.var_mean(reached, (0, 2, 3), correction=0)
    row = report.layers.set_index("layer").loc["m.1"]
    gap = ((0 - mean) / (variance + 1e-5).sqrt()).square().mean().sqrt()
    assert row["mean_gap"] == pytest.approx(gap.item(), rel=1e-4)
    assert set(report.measured["statistics"]) >= {"moving", "precise", "batch"}
    assert (report.measured["images"] == 20).all()


def flat():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 4))


def test_a_batch_of_a_single_value_a_channel_is_left_out_and_said_so():
    model = flat()
    data = [(torch.randn(size, 8), torch.arange(size) % 4) for size in (1, 6, 1, 7)]
    report = doctor.diagnose(model, data, data, progress=False)
    assert any(remark.startswith("2 of train_batches are in no precise") for remark in report.remarks)
    with torch.no_grad():
        reached = model[0](torch.cat([data[1][0], data[3][0]])).double()
    variance, mean = torch.var_mean(reached, 0, correction=0)
    gap = (mean / (variance + 1e-5).sqrt()).square().mean().sqrt()
    assert report.layers.set_index("layer").loc["1", "mean_gap"] == pytest.approx(gap.item(), rel=1e-4)
    measured = report.measured.set_index("statistics")["images"]
    assert (measured["moving"], measured["batch"]) == (15, 13)


def test_train_batches_that_give_no_statistics_are_refused_with_the_reason():
    data = [(torch.randn(1, 8), torch.tensor([1])) for _ in range(3)]
    with pytest.raises(ValueError, match="in each of 3 batches a BatchNorm1d gets a single value"):
        doctor.diagnose(flat(), data, data, progress=False)
    model = nn.Sequential(nn.Linear(8, 4))
    model.unused = nn.BatchNorm1d(4)
    model.forward = lambda x: model[0](x)
    with pytest.raises(ValueError, match="reach no batch-norm layer"):
        doctor.diagnose(model, [(torch.randn(4, 8), torch.arange(4))] * 2, progress=False)
