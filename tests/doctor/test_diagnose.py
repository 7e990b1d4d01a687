"""Harm and drift by measurement, against recomputation by hand; and what can't be told."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import bnstudy
from bnstudy import doctor
from bnstudy.doctor import paired
from tests.doctor.nets import batches, carry_out, net, steps, trained

TRAIN, TEST = batches(8), batches(12)[8:]


def look(model, train=TRAIN, test=TEST, **how):
    return doctor.diagnose(model, train, test, progress=False, **how)


def found(report, code):
    return next((f for f in report.findings if f.code == code), None)


def cold():
    return trained(0.001)


def shifted(size):
    model = trained()
    model[4].running_mean += size * model[4].running_var.sqrt()
    return model


class ByHand(nn.Module):
    """Normalises by the batch whatever the mode."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return F.batch_norm(x, None, None, self.layer.weight, self.layer.bias, True)


def test_a_healthy_model_has_no_warning_and_its_repair_none_either():
    assert look(trained()).ok
    assert look(bnstudy.recalibrate(trained(), TRAIN)).ok


def test_costs_are_those_of_a_repair_by_hand_image_by_image():
    model = cold()
    report = look(model)
    harm = found(report, "statistics-harm")
    repaired = bnstudy.recalibrate(model, TRAIN)
    x, y = (torch.cat(parts) for parts in zip(*TEST, strict=True))
    with torch.no_grad():
        moving, precise = model(x), repaired(x)
    loss = F.cross_entropy(moving, y) - F.cross_entropy(precise, y)
    accuracy = (precise.argmax(1) == y).float().mean() - (moving.argmax(1) == y).float().mean()
    assert harm.severity == "warning"
    assert harm.evidence["loss_lost"] == pytest.approx(loss.item(), rel=1e-3)
    assert harm.evidence["accuracy_lost"] == pytest.approx(accuracy.item(), abs=1e-6)
    assert harm.evidence["images"] == len(y)
    table = report.measured.set_index("statistics")
    assert table.loc["moving", "loss"] == pytest.approx(F.cross_entropy(moving, y).item(), rel=1e-4)


def test_gaps_are_those_of_the_probe():
    from bnstudy.probes import StatisticsGap

    model = shifted(0.7)
    probe = StatisticsGap(model, [x for x, _ in TRAIN])
    with probe():
        pass
    expected = probe.frame().pivot(index="layer", columns="quantity", values="value")
    table = look(model).layers.set_index("layer")
    for quantity in ("mean_gap", "log_variance_gap"):
        for layer in ("1", "4"):
            assert table.loc[layer, quantity] == pytest.approx(expected.loc[layer, quantity], rel=1e-5)


def test_what_one_layer_wins_back_is_what_exchanging_it_by_hand_wins():
    model = shifted(3.0)
    report = look(model)
    alone = copy.deepcopy(model)
    repaired = bnstudy.recalibrate(model, TRAIN)
    alone[4].running_mean.copy_(repaired[4].running_mean)
    alone[4].running_var.copy_(repaired[4].running_var)
    x, y = (torch.cat(parts) for parts in zip(*TEST, strict=True))
    with torch.no_grad():
        won = F.cross_entropy(model(x), y) - F.cross_entropy(alone(x), y)
    table = report.layers.set_index("layer")
    assert table.loc["4", "recovered_loss"] == pytest.approx(won.item(), rel=1e-3)
    assert found(report, "statistics-harm").layer == "4"


CAUSES = {
    "cold": (cold, "cold"),
    "never-updated": (lambda: _reset(trained()), "never-updated"),
    "foreign-domain": (lambda: _of_other_data(trained()), "foreign-domain"),
    "momentum": (lambda: _noisy(), "momentum"),
    "broken": (lambda: _negative(trained()), "broken"),
}


def _reset(model):
    model[1].reset_running_stats()
    model[4].reset_running_stats()
    return model


def _of_other_data(model):
    return bnstudy.recalibrate(model, batches(8, shift=-4.0))


def _noisy():
    model = trained(0.99).train()
    with torch.no_grad():
        model(TRAIN[0][0][:4])
    return model.eval()


def _negative(model):
    model[1].running_var[2] = -1.0
    return model


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_told_and_the_fix_wins_it_back(name):
    make, cause = CAUSES[name]
    model = make()
    harm = found(look(model), "statistics-harm")
    assert harm is not None
    assert harm.evidence["cause_code"] == cause
    carry_out(harm, model, train_batches=TRAIN)
    assert look(model).ok


def test_images_that_come_out_broken_are_harm_and_counted():
    harm = found(look(_negative(trained())), "statistics-harm")
    assert harm.evidence["broken_images"] == sum(len(y) for _, y in TEST)
    assert "NaN" in harm.seen


def test_drift_without_harm_is_a_note():
    # A loss this confident feels each tenth of a deviation; the accuracy doesn't.
    report = look(shifted(0.15), smallest_effect={"accuracy": 0.02, "loss": 0.1})
    assert report.ok
    drift = found(report, "drift")
    assert (drift.severity, drift.layer) == ("note", "4")
    assert drift.evidence["gap"] == pytest.approx(0.15, abs=0.1)


def test_few_images_can_t_tell_and_the_report_says_how_many_would():
    model = trained()
    few = [(x[:8], y[:8]) for x, y in TEST[:1]]
    report = look(model, test=few)
    unsure = found(report, "statistics-harm")
    assert unsure.severity == "note"
    assert unsure.sure == "can't tell"
    assert unsure.evidence["images_needed"] > 8
    assert found(look(cold(), smallest_effect={"accuracy": 1.0, "loss": 100.0}), "statistics-harm") is None


def test_an_evaluation_on_other_data_is_told_from_bad_statistics():
    other = [(x - 4.0, y) for x, y in TEST]
    harm = found(look(trained(), test=other), "statistics-harm")
    assert harm.evidence["cause_code"] == "foreign-domain"
    assert "eval_batches" in harm.fix
    model = trained()
    carry_out(harm, model, eval_batches=other)
    assert look(model, train=other, test=other).ok


def test_without_evaluation_data_some_training_batches_are_held_back():
    report = doctor.diagnose(cold(), TRAIN, progress=False)
    assert found(report, "statistics-harm") is not None
    assert any("held" in r or "no eval_batches" in r for r in report.remarks)
    assert found(report, "statistics-harm").evidence["images"] == 2 * 64  # every fourth of eight


LEAKS = {
    "always training": lambda m: (
        setattr(m[1], "train", lambda mode=True: m[1]) or setattr(m[1], "training", True)
    ),
    "by hand": lambda m: m.__setitem__(1, ByHand(m[1])),
}


@pytest.mark.parametrize("name", LEAKS)
def test_an_answer_that_depends_on_its_neighbours_is_an_error_at_its_layer(name):
    model = trained()
    LEAKS[name](model)
    leak = found(look(model), "batch-leak")
    assert (leak.severity, leak.layer) == ("error", "1")
    assert found(look(trained()), "batch-leak") is None


def test_a_layer_built_without_statistics_leaks_as_a_note():
    model = trained()
    model[1] = nn.BatchNorm1d(16, track_running_stats=False)
    leak = found(look(model), "batch-leak")
    assert (leak.severity, leak.layer) == ("note", "1")


def test_batches_of_one_image_can_t_tell_a_leak():
    singles = [(x[:1], y[:1]) for x, y in TEST]
    assert any("Whether outputs depend" in remark for remark in look(trained(), test=singles).remarks)


def test_dropout_in_front_of_batch_norm_is_told_by_what_recalibration_without_it_wins():
    torch.manual_seed(0)
    layers = [nn.Dropout(0.7), nn.Linear(8, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4)]
    model = nn.Sequential(*layers)
    steps(model, batches(40))
    report = look(model.eval())
    shift = found(report, "variance-shift")
    assert shift.severity == "warning"
    carry_out(shift, model, train_batches=TRAIN)
    assert found(look(model), "variance-shift") is None
    behind = nn.Sequential(*layers[1:4], nn.Dropout(0.7), layers[4])
    steps(behind, batches(40))
    assert found(look(behind.eval()), "variance-shift") is None


def test_overfitting_is_not_batch_norm_s():
    model = net()
    torch.manual_seed(3)
    few = [(torch.randn(32, 8), torch.randint(4, (32,))) for _ in range(2)]
    steps(model, few * 60)
    report = look(model.eval(), train=few)
    assert found(report, "not-batch-norm").severity == "note"


def test_any_batch_goes_through_forward():
    model = cold()
    data = [{"image": x, "label": y} for x, y in TRAIN]
    report = look(model, data, data[:4], forward=lambda m, b: (m(b["image"]), b["label"]))
    assert found(report, "statistics-harm") is not None


def test_a_loss_of_one_s_own_may_be_of_an_image_or_of_a_batch():
    def each(output, target):
        return F.cross_entropy(output, target, reduction="none")

    def whole(output, target):
        return (output.softmax(1).mean(0) - F.one_hot(target, 4).float().mean(0)).square().sum()

    ours = look(cold()).measured.set_index("statistics")["loss"]
    for loss in (each, nn.CrossEntropyLoss()):
        theirs = look(cold(), loss_fn=loss).measured.set_index("statistics")
        assert theirs["loss"].to_numpy() == pytest.approx(ours.to_numpy(), rel=1e-4)
        assert "images" in theirs
    assert set(look(cold(), loss_fn=whole).measured["batches"]) == {len(TEST)}


def test_a_diagnosis_leaves_no_trace_and_is_the_same_each_time():
    model = cold().train()
    model[1].momentum = 0.3
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    first, second = look(model), look(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert first.to_json() == second.to_json()


class Once:
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return self

    def __next__(self):
        raise AssertionError("it was read")


REFUSED = {
    "a generator": (lambda: look(net(), train=Once([])), TypeError, "can be read once"),
    "no batch": (lambda: look(net(), test=[]), ValueError, "eval_batches is empty"),
    "one batch": (lambda: doctor.diagnose(net(), TRAIN[:1], progress=False), ValueError, "has 1 batches"),
    "inputs alone": (lambda: look(net(), test=[x for x, _ in TEST]), ValueError, "a batch is a Tensor"),
    "real targets": (
        lambda: look(net(), test=[(x, x) for x, _ in TEST]),
        ValueError,
        "loss_fn is None, with an output of shape \\[64, 4\\]",
    ),
    "no batches at all": (lambda: look(net(), max_batches=0), ValueError, "max_batches is 0"),
    "an unknown effect": (lambda: look(net(), smallest_effect={"f1": 1}), ValueError, "'f1'"),
    "a negative effect": (lambda: look(net(), smallest_effect=-1.0), ValueError, "smallest_effect"),
    "no forward": (lambda: look(net(), forward=3), TypeError, "forward is 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_t_be_diagnosed_is_refused_by_name(name):
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call()


class Stream(torch.utils.data.IterableDataset):
    """What a data set over a stream often is: the same iterator each time."""

    def __init__(self, rows):
        self.rows = iter(rows)

    def __iter__(self):
        return self.rows


def test_a_loader_of_a_stream_that_runs_dry_is_refused_by_name():
    rows = [(x, int(y)) for batch in TRAIN[:2] for x, y in zip(*batch, strict=True)]
    loader = torch.utils.data.DataLoader(Stream(rows), batch_size=32)
    with pytest.raises(TypeError, match="train_batches is a DataLoader that gave batches once"):
        look(trained(), train=loader)
    with pytest.raises(ValueError, match="train_batches is empty"):
        look(trained(), train=[])


def test_a_model_without_batch_norm_is_no_error():
    report = look(nn.Linear(8, 4))
    assert report.ok
    assert report.batch_norms == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_s_p_is_the_binomial_s(won, lost):
    from scipy import stats

    expected = stats.binomtest(won, won + lost, 0.5).pvalue if won + lost else 1.0
    assert paired.mcnemar(won, lost) == pytest.approx(expected, rel=1e-9)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = {"accuracy": 0, "loss": 0, "few": 0}
    rounds = 400
    for _ in range(rounds):
        both = rng.random(200)
        # Right with both, with the first alone, with the second alone, with neither.
        first, second = (both < 0.85).astype(float), ((both < 0.8) | (both > 0.98)).astype(float)
        effect = paired.lost(first, second, 0.0)
        covered["accuracy"] += effect.low <= 0.85 - 0.82 <= effect.high
        difference = rng.exponential(size=200) - 0.8
        effect = paired.risen(difference, np.zeros(200), 0.0)
        covered["loss"] += effect.low <= 0.2 <= effect.high
        effect = paired.risen(rng.normal(size=5), np.zeros(5), 0.0)
        covered["few"] += effect.low <= 0.0 <= effect.high
    assert all(0.91 <= count / rounds <= 0.985 for count in covered.values()), covered


def test_one_pair_tells_nothing():
    effect = paired.risen(np.array([3.0]), np.array([0.0]), 0.02)
    assert effect.verdict == "can't tell"
    assert math.isinf(effect.high)
