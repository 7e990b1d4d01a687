"""What a model at rest, a state_dict or a checkpoint shows, and what it must not be taken for."""

from __future__ import annotations

import argparse
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import resnet18
from torchvision.ops import FrozenBatchNorm2d

from bnstudy import BatchNorm, doctor
from bnstudy.doctor.untouched import DoctorError, untouched
from tests.doctor.nets import batches, carry_out, net, trained


def severities(report):
    return {(f.code, f.severity) for f in report.findings}


def spoil(change):
    model = trained()
    change(model)
    return model


def set_value(name, index, value):
    def change(model):
        getattr(model[1], name)[index] = value

    return change


def each(model, name, value):
    for layer in (model[1], model[4]):
        setattr(layer, name, value)


FAULTS = {
    "nan mean": (set_value("running_mean", 3, torch.nan), "non-finite", "error"),
    "infinite variance": (set_value("running_var", 0, torch.inf), "non-finite", "error"),
    "negative variance": (set_value("running_var", 5, -1e-6), "negative-variance", "error"),
    "reset": (lambda m: m[1].reset_running_stats(), "never-updated", "error"),
    "reset, counter left": (
        lambda m: (m[1].running_mean.zero_(), m[1].running_var.fill_(1)),
        "never-updated",
        "error",
    ),
    "momentum 0": (lambda m: each(m, "momentum", 0.0), "momentum-zero", "note"),
    "momentum 0, initial": (
        lambda m: (each(m, "momentum", 0.0), m[1].reset_running_stats()),
        "momentum-zero",
        "warning",
    ),
    "momentum 0.99": (lambda m: each(m, "momentum", 0.99), "momentum-inverted", "note"),
    "epsilon": (lambda m: each(m, "eps", 0.1), "epsilon-unusual", "note"),
    "tracking": (lambda m: each(m, "track_running_stats", False), "tracking-off", "warning"),
    "one in training mode": (lambda m: m[1].train(), "mixed-modes", "warning"),
    "one in eval mode": (lambda m: (m.train(), m[4].eval()), "mixed-modes", "warning"),
    "frozen affine": (lambda m: (m.train(), m[4].requires_grad_(False)), "frozen-yet-updating", "warning"),
    "half": (lambda m: (set_value("running_var", 2, 7e4)(m), m.half()), "half-overflow", "error"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_severity_and_a_healthy_model_has_none(name):
    change, code, severity = FAULTS[name]
    assert doctor.scan(trained()).findings == []
    report = doctor.scan(spoil(change))
    assert (code, severity) in severities(report)
    assert report.ok is (severity == "note")
    (first, *_) = [f for f in report.findings if f.code == code]
    assert first.evidence or code in ("never-updated", "tracking-off")


REPAIRED = [name for name in FAULTS if name not in ("half", "momentum 0.99", "frozen affine")]


@pytest.mark.parametrize("name", REPAIRED)
def test_the_fix_is_code_that_runs_and_takes_the_finding_away(name):
    change, code, _ = FAULTS[name]
    model = spoil(change)
    for finding in [f for f in doctor.scan(model).findings if f.code == code]:
        carry_out(finding, model)
    assert code not in doctor.scan(model).codes


def test_the_other_fixes_run():
    frozen = spoil(FAULTS["frozen affine"][0])
    carry_out(next(iter(doctor.scan(frozen).findings)), frozen)
    assert not frozen[4].training
    inverted = spoil(FAULTS["momentum 0.99"][0])
    for finding in doctor.scan(inverted).findings:
        carry_out(finding, inverted)
    assert inverted[1].momentum == pytest.approx(0.01)
    half = spoil(FAULTS["half"][0])
    whole = copy.deepcopy(half).float()
    fix = next(f for f in doctor.scan(half).findings if f.code == "half-overflow")
    assert carry_out(fix, whole)["model"][1].running_var.dtype == torch.bfloat16


def test_bfloat16_holds_what_float16_cannot():
    model = spoil(set_value("running_var", 2, 7e4))
    assert doctor.scan(model.to(torch.bfloat16)).ok
    assert not doctor.scan(model.to(torch.float16)).ok


HEALTHY = {
    "untrained": net,
    "resnet18": lambda: resnet18(),
    "zero-initialised residual": lambda: resnet18(zero_init_residual=True),
    "frozen": lambda: trained().eval().requires_grad_(False),
    "momentum encoder": lambda: trained().train().requires_grad_(False),
    "cumulative": lambda: trained(None),
    "without statistics": lambda: nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)
    ),
    "layer norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)),
    "instance norm": lambda: nn.Sequential(nn.InstanceNorm1d(4, track_running_stats=True)),
    "lazy": lambda: nn.Sequential(nn.LazyBatchNorm1d()),
    "no scale, written as ones": lambda: _frozen_ones(),
    "ours": lambda: bnstudy_net(),
    "sync": lambda: nn.SyncBatchNorm.convert_sync_batchnorm(trained()),
}


def _frozen_ones():
    model = trained().train()
    nn.init.ones_(model[1].weight).requires_grad_(False)
    nn.init.zeros_(model[1].bias).requires_grad_(False)
    return model


def bnstudy_net():
    from bnstudy import convert

    return convert(trained())


@pytest.mark.parametrize("kind", HEALTHY)
def test_healthy_models_have_no_error_and_no_warning(kind):
    report = doctor.scan(HEALTHY[kind]())
    assert report.ok, str(report)


def test_a_random_scale_is_no_sign_of_training():
    model = net()
    nn.init.normal_(model[1].weight, 1.0, 0.02)  # as DCGAN starts
    assert doctor.scan(model).ok
    with torch.no_grad():
        model[1].bias[0] += 0.1
    assert not doctor.scan(model).ok


@pytest.mark.parametrize(
    "make", [lambda: BatchNorm(4), lambda: FrozenBatchNorm2d(4), lambda: nn.SyncBatchNorm(4)]
)
def test_layers_of_other_makes_are_seen(make):
    layer = make()
    mean = getattr(layer, "running_mean", None)
    (layer.moving_mean if mean is None else mean)[1] = torch.nan
    assert "non-finite" in doctor.scan(nn.Sequential(layer)).codes


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=5),
    st.sampled_from(["running_mean", "running_var"]),
)
def test_values_are_judged_as_a_loop_over_them_would(values, name):
    layer = nn.BatchNorm1d(len(values))
    layer.register_buffer(name, torch.tensor(values))
    codes = doctor.scan(nn.Sequential(layer)).codes
    finite = [v == v and abs(v) != float("inf") for v in values]
    assert ("non-finite" in codes) is (not all(finite))
    assert ("negative-variance" in codes) is (name == "running_var" and any(v < 0 for v in values))


def test_scan_leaves_everything_and_says_so_if_not():
    model = trained().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    doctor.scan(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert model.training


def read_a_hook(model):
    model.register_forward_hook(lambda *_: None)


CHANGES = {
    "a weight": lambda m: m[0].weight.data.view(-1)[3:4].add_(1e-7),
    "a statistic": lambda m: m[1].running_mean[0:1].add_(1e-6),
    "a mode": lambda m: m[1].train(),
    "a hook": read_a_hook,
    "a random number": lambda m: torch.rand(1),
    "a frozen weight": lambda m: m[0].requires_grad_(False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_doctor_s_would_be_an_error(what):
    model = trained()
    with pytest.raises(DoctorError, match="please report"), untouched(model):
        CHANGES[what](model)


NESTINGS = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "args": argparse.Namespace(lr=0.1)},
    "model and optimiser": lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    "wrapped": lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
}


@pytest.mark.parametrize("nesting", NESTINGS)
def test_checkpoints_are_found_and_named_wherever_they_are(nesting, tmp_path):
    model = spoil(set_value("running_var", 5, -1.0))
    path = tmp_path / "checkpoint.pt"
    torch.save(NESTINGS[nesting](model.state_dict()), path)
    for subject in (path, str(path), NESTINGS[nesting](model.state_dict())):
        report = doctor.scan(subject)
        assert [(f.code, f.layer) for f in report.findings] == [("negative-variance", "1")]
        assert report.batch_norms == 2


def test_two_states_in_a_file_are_told_apart(tmp_path):
    good, bad = trained(), spoil(set_value("running_var", 5, -1.0))
    torch.save({"state_dict": good.state_dict(), "state_dict_ema": bad.state_dict()}, tmp_path / "both.pt")
    assert [f.layer for f in doctor.scan(tmp_path / "both.pt").findings] == ["state_dict_ema: 1"]


def test_a_file_that_would_execute_is_refused_and_nothing_is_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"state_dict": trained().state_dict(), "extra": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(doctor.CheckpointError, match="asks for code to be executed"):
        doctor.scan(tmp_path / "bomb.pt")
    assert not (tmp_path / "executed").exists()
    torch.save(trained(), tmp_path / "model.pt")
    with pytest.raises(doctor.CheckpointError, match="allowed: a state_dict"):
        doctor.scan(tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04broken"])
def test_a_damaged_file_is_refused_by_name(content, tmp_path):
    (tmp_path / "broken.pt").write_bytes(content)
    for path in (tmp_path / "broken.pt", tmp_path / "missing.pt"):
        with pytest.raises(doctor.CheckpointError, match=path.name):
            doctor.scan(path)


def test_a_layer_without_its_statistics_among_others_is_named():
    state = resnet18().state_dict()
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        del state[f"layer1.0.bn1.{name}"]
    report = doctor.scan(state)
    missing = [(f.layer, f.severity) for f in report.findings if f.code == "missing-buffers"]
    assert missing == [("layer1.0.bn1", "error")]
    counters = {k: v for k, v in trained().state_dict().items() if "running" not in k}
    assert {f.layer for f in doctor.scan(counters).findings if f.severity == "error"} == {"1", "4"}


def test_parameters_alone_are_a_question_since_a_group_norm_may_be_called_bn():
    states = (
        dict(resnet18().named_parameters()),
        resnet18(norm_layer=lambda width: nn.GroupNorm(1, width)).state_dict(),
    )
    for state in states:
        report = doctor.scan(state)
        [found] = report.findings
        assert (found.code, found.severity) == ("missing-buffers", "note")
        assert "17 are called as batch norms are (bn1)" in found.seen
        assert "can't tell" in found.sure
    model = resnet18()
    assert not doctor.compare(model, dict(model.named_parameters())).ok


def test_norms_without_a_name_that_tells_are_a_question():
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)).state_dict()
    report = doctor.scan(state)
    assert report.ok
    assert [f.sure.partition(":")[0] for f in report.findings] == ["can't tell"]
    assert doctor.scan(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)).state_dict()).findings == []


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((3,), TypeError, "model is a int; allowed"),
        (({"a": 1},), ValueError, "holds no state_dict"),
    ],
)
def test_what_can_t_be_scanned_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        doctor.scan(*arguments)


def test_biases_that_batch_norm_takes_away_are_noted_where_they_are_trained():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 5, 3))
    assert [f.layer for f in doctor.scan(model).findings if f.code == "redundant-bias"] == ["0"]
    x = torch.randn(2, 3, 8, 8)
    kept = model.train()(x)
    with torch.no_grad():
        model[0].bias += 3.0
    assert torch.allclose(kept, model(x), atol=1e-4)  # which is what the note says


def test_the_data_of_the_tests_are_learnt():
    model = trained()
    x, y = batches(1)[0]
    assert (model(x).argmax(1) == y).float().mean() > 0.9
