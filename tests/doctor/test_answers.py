"""Loss and accuracy of a diagnosis against the model's own answers, worked out apart."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnstudy import doctor
from tests.doctor.nets import batches, trained

DATA = batches(4)


def measured(model, data, **how):
    report = doctor.diagnose(model, data, data, progress=False, **how)
    return report.measured.set_index("statistics").loc["moving"], report


def unmeasured(report):
    return next((remark for remark in report.remarks if "Accuracy wasn't measured" in remark), None)


@torch.no_grad()
def outcome(model, data):
    return tuple(torch.cat(parts) for parts in zip(*((model(x), y) for x, y in data), strict=True))


def cut(width):
    """A trained model with ``width`` outputs."""
    model = trained()
    model[6] = nn.Linear(16, width)
    return model.eval()


def one_logit(output, target):
    return F.binary_cross_entropy_with_logits(output.squeeze(1), target.float())


def contrastive(output, target):
    apart = torch.cdist(output, output)
    same = target[:, None] == target
    return torch.where(same, apart, (1 - apart).clamp(min=0)).mean()


NO_SCORES = {
    "one logit": (1, 2, one_logit, "have one score"),
    "a number to be met": (1, 4, lambda o, t: F.mse_loss(o[:, 0], t.float()), "have one score"),
    "a mean and a variance": (
        2,
        2,
        lambda o, t: F.gaussian_nll_loss(o[:, 0], t.float(), o[:, 1].exp()),
        "isn't lower",
    ),
    "one of two numbers": (2, 2, lambda o, t: F.mse_loss(o[:, 1], t.float()), "isn't lower"),
    "embeddings": (8, 4, contrastive, "isn't lower"),
    "a class that is ignored without a word": (
        4,
        4,
        lambda o, t: F.cross_entropy(o, t, ignore_index=2),
        "isn't lower",
    ),
    "thresholds of ordered classes": (
        3,
        4,
        lambda o, t: F.binary_cross_entropy_with_logits(o, (t[:, None] > torch.arange(3)).float()),
        "targets hold 3",
    ),
    "a loss that ignores what it doesn't say": (
        4,
        4,
        lambda o, t: F.cross_entropy(o, t, ignore_index=255),
        "targets hold 255",
    ),
}


@pytest.mark.parametrize("name", NO_SCORES)
def test_what_isn_t_class_scores_has_no_accuracy_and_the_report_says_why(name):
    width, classes, loss_fn, why = NO_SCORES[name]
    data = [(x, y % classes) for x, y in DATA]
    if "255" in why:
        data = [(x, torch.where(torch.arange(len(y)) % 2 == 0, 255, y)) for x, y in data]
    row, report = measured(cut(width), data, loss_fn=loss_fn)
    assert row["accuracy"] is None
    assert why in unmeasured(report)


SCORES = {
    "by its kind": nn.CrossEntropyLoss(label_smoothing=0.2),
    "weights of classes": nn.CrossEntropyLoss(weight=torch.tensor([0.0, 1.0, 2.0, 3.0])),
    "a function": F.cross_entropy,
    "with options": functools.partial(F.cross_entropy, label_smoothing=0.1),
    "of one's own": lambda o, t: F.cross_entropy(o, t),
    "focal": lambda o, t: (
        (1 - o.softmax(1).gather(1, t[:, None])[:, 0]) ** 2 * F.cross_entropy(o, t, reduction="none")
    ).mean(),
    "of the whole batch": lambda o, t: 1 - (o.softmax(1) * F.one_hot(t, 4)).sum() / len(t),
    "squares": lambda o, t: F.mse_loss(o, F.one_hot(t, 4).float()),
}


@pytest.mark.parametrize("name", SCORES)
def test_class_scores_have_the_accuracy_of_their_largest(name):
    row, report = measured(trained(), DATA, loss_fn=SCORES[name])
    output, target = outcome(trained(), DATA)
    assert unmeasured(report) is None
    assert row["accuracy"] == pytest.approx((output.argmax(1) == target).double().mean().item(), abs=1e-12)


def test_the_way_to_an_accuracy_of_one_logit_gives_the_logit_s_loss_and_its_threshold_at_0():
    model, data = cut(1), [(x, y % 2) for x, y in DATA]

    def two(model, batch):
        z = model(batch[0])[:, 0]
        return torch.stack([torch.zeros_like(z), z], 1), batch[1]

    row, _ = measured(model, data, forward=two)
    output, target = outcome(model, data)
    assert row["loss"] == pytest.approx(one_logit(output, target).item(), rel=1e-5)
    assert row["accuracy"] == pytest.approx(((output[:, 0] > 0) == target.bool()).double().mean().item())


def test_without_a_loss_what_no_score_belongs_to_is_refused_by_name():
    with pytest.raises(ValueError, match=r"loss_fn is None, and outputs \[64, 1\] have one score"):
        measured(cut(1), [(x, y % 2) for x, y in DATA])
    with pytest.raises(ValueError, match="loss_fn is None, and targets hold 255"):
        measured(trained(), [(x, torch.full_like(y, 255)) for x, y in DATA])


@pytest.mark.parametrize("ignored", [None, -100, 255, 1])
def test_ignored_targets_count_neither_in_loss_nor_in_accuracy(ignored):
    number = -100 if ignored is None else ignored
    # None in the first batch, many in the others, and all of the last.
    shares = (0, 2, 3, 1)
    data = [
        (x, y if not share else torch.where(torch.arange(len(y)) % share == 0, number, y))
        for share, (x, y) in zip(shares, DATA, strict=True)
    ]
    loss_fn = None if ignored is None else nn.CrossEntropyLoss(ignore_index=ignored)
    row, _ = measured(trained(), data, loss_fn=loss_fn)
    output, target = outcome(trained(), data)
    kept = target != number
    assert row["images"] == int(kept.sum())
    assert row["loss"] == pytest.approx(F.cross_entropy(output[kept], target[kept]).item(), rel=1e-5)
    right = (output.argmax(1) == target)[kept].double().mean().item()
    assert row["accuracy"] == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_void_pixels_count_neither_in_loss_nor_in_accuracy(reduction):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1)).eval()
    data = [(torch.randn(8, 3, 4, 4), torch.randint(3, (8, 4, 4))) for _ in range(3)]
    for _, y in data:
        y[:, :2] = 255
    row, _ = measured(model, data, loss_fn=nn.CrossEntropyLoss(ignore_index=255, reduction=reduction))
    output, target = outcome(model, data)
    right = (output.argmax(1) == target)[target != 255].double().mean().item()
    assert row["accuracy"] == pytest.approx(right, abs=1e-12)
    assert row["images"] == 24
    assert row["loss"] == pytest.approx(F.cross_entropy(output, target, ignore_index=255).item(), rel=1e-5)


def test_targets_that_are_all_ignored_are_refused():
    with pytest.raises(ValueError, match="all are -100, which the loss ignores"):
        measured(trained(), [(x, torch.full_like(y, -100)) for x, y in DATA])


@pytest.mark.parametrize("spread", [1e-3, 4e-3, 6e-3, 0.5])
def test_losses_are_of_images_or_of_batches_in_all_batches_and_passes_alike(spread):
    model = trained()
    with torch.no_grad():  # far off, so that there is harm and layers are exchanged
        model[4].running_mean += 3 * model[4].running_var.sqrt()
    loss_fn = nn.CrossEntropyLoss(weight=1 + spread * torch.tensor([1.0, -1.0, 0.5, -0.5]))
    row, report = measured(model, DATA, loss_fn=loss_fn)
    whole = torch.stack([loss_fn(*outcome(model, [batch])) for batch in DATA])
    assert (report.measured["batches"] == len(DATA)).all()
    assert row["loss"] == pytest.approx(whole.mean().item(), rel=1e-6)
    # Whatever the losses are of, accuracies are of images.
    harm = next(f for f in report.findings if f.code == "statistics-harm")
    assert (harm.evidence["batches"], harm.evidence["images"]) == (4, 4 * 64)
    assert row["accuracy"] == (outcome(model, DATA)[0].argmax(1) == outcome(model, DATA)[1]).double().mean()
    assert report.layers["recovered_loss"].notna().all()


def test_a_batch_that_is_no_mean_of_its_images_makes_all_losses_those_of_batches():
    void = [DATA[0], *((x, torch.where(torch.arange(len(y)) % 5 == 0, 9, y)) for x, y in DATA[1:])]

    def loss_fn(output, target):
        return F.cross_entropy(output, target, ignore_index=9)

    row, report = measured(trained(), void, loss_fn=loss_fn)
    whole = torch.stack([loss_fn(*outcome(trained(), [batch])) for batch in void])
    assert row["batches"] == len(void)
    assert row["broken"] == 0
    assert row["loss"] == pytest.approx(whole.mean().item(), rel=1e-6)
    assert "targets hold 9" in unmeasured(report)


def test_what_would_tell_is_counted_in_what_losses_are_of():
    model = trained()
    with torch.no_grad():
        model[4].running_mean += 3 * model[4].running_var.sqrt()
    loss = measured(model, DATA, loss_fn=contrastive)[1].measured.set_index("statistics")["loss"]
    effect = loss["moving"] - loss["precise"]
    assert effect > 0
    # A smallest effect as large as what was measured lies within the interval.
    _, report = measured(model, DATA, loss_fn=contrastive, smallest_effect={"loss": effect})
    note = next(f for f in report.findings if f.code == "statistics-harm")
    assert note.severity == "note"
    assert note.evidence["batches"] == 4 < note.evidence["batches_needed"]
    assert f"{note.evidence['batches_needed']} batches" in note.fix
    assert not any("images" in name for name in note.evidence)


def test_broken_outputs_don_t_decide_what_losses_are_of():
    model = trained()
    model[1].running_var[2] = -1.0
    row, report = measured(model, DATA, loss_fn=nn.CrossEntropyLoss())
    assert row["broken"] == row["images"] == sum(len(y) for _, y in DATA)
    row, report = measured(model, DATA, loss_fn=contrastive)
    assert set(report.measured["batches"]) == {len(DATA)}
    assert row["broken"] == len(DATA)
    harm = next(f for f in report.findings if f.code == "statistics-harm")
    assert harm.evidence["broken_batches"] == len(DATA)


def test_a_last_batch_of_one_image_stays_an_image():
    data = [*DATA, (DATA[0][0][:1], DATA[0][1][:1])]
    row, _ = measured(trained(), data, loss_fn=nn.CrossEntropyLoss())
    output, target = outcome(trained(), data)
    assert row["images"] == len(target)
    assert row["loss"] == pytest.approx(F.cross_entropy(output, target).item(), rel=1e-5)


def test_a_loss_of_each_image_may_be_of_any_output():
    def forward(model, batch):
        return {"out": model(batch[0])}, batch[1]

    def loss_fn(output, target):
        return F.cross_entropy(output["out"], target, reduction="none")

    row, report = measured(trained(), DATA, forward=forward, loss_fn=loss_fn)
    assert row["images"] == sum(len(y) for _, y in DATA)
    assert row["loss"] == pytest.approx(F.cross_entropy(*outcome(trained(), DATA)).item(), rel=1e-5)
    assert "outputs are a dict" in unmeasured(report)
