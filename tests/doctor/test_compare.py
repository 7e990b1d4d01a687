"""Two states of one network: whether statistics belong to their weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

import bnstudy
from bnstudy import doctor
from bnstudy.doctor.comparing import apart
from bnstudy.doctor.layers import of_module
from tests.doctor.nets import batches, carry_out, net, steps, trained


def averaged():
    """A model and an average of its weights, which has the statistics of the start."""
    model = net()
    average = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for batch in batches(20):
        steps(model, [batch], optimizer)
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 0.2)
    return model.eval(), average.eval()


def other_data(model):
    other = copy.deepcopy(model).train()
    with torch.no_grad():
        for x, _ in batches(20, shift=3.0):
            other(x)
    return other.eval()


def later_weights(model):
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.01
    return other


def test_an_average_without_buffers_is_named_and_the_fix_repairs_it():
    model, average = averaged()
    report = doctor.compare(model, average, "average")
    assert {(f.code, f.layer, f.severity) for f in report.findings} == {
        ("old-statistics", layer, "warning") for layer in ("1", "4")
    }
    for finding in report.findings:
        carry_out(finding, model, b=average)
    assert doctor.compare(model, average, "average").ok


def test_torch_s_average_has_the_statistics_of_one_model_until_update_bn():
    model = trained()
    later = later_weights(model)
    average = AveragedModel(model)
    for step in (model, later):
        average.update_parameters(step)
    assert not doctor.compare(later, average.module, "average").ok
    update_bn([x for x, _ in batches()], average)
    assert doctor.compare(later, average.module, "average").ok


def test_replicas_and_old_buffers_are_told_apart_by_their_counters():
    model = trained().train()
    with torch.no_grad():
        for x, _ in batches(20):
            model(x)
    replica = other_data(trained())
    report = doctor.compare(model.eval(), replica)
    assert {f.code for f in report.findings} == {"rank-mismatch"}
    replica[1].num_batches_tracked += 1
    replica[4].num_batches_tracked += 1
    report = doctor.compare(model, replica)
    assert {f.code for f in report.findings} == {"old-statistics"}
    assert all("unless meant" in f.cause.lower() for f in report.findings)
    assert doctor.compare(model, replica, "replica").codes == {"rank-mismatch"}
    assert doctor.compare(model, replica, "recalibrated").ok


def test_other_weights_with_the_same_statistics_are_suspicious_and_other_statistics_too_are_not():
    model = trained()
    assert doctor.compare(model, later_weights(model)).codes == {"old-statistics"}
    assert doctor.compare(model, other_data(later_weights(model))).findings == []
    assert doctor.compare(model, copy.deepcopy(model)).findings == []


def test_a_recalibration_that_changed_nothing_is_named():
    model = trained()
    assert doctor.compare(model, bnstudy.recalibrate(model, batches()), "recalibrated").ok
    still = copy.deepcopy(model)
    for layer in (still[1], still[4]):
        layer.momentum = 0.0
    update_bn([x for x, _ in batches()], still)  # it sets the momentum to None for a while
    assert doctor.compare(model, copy.deepcopy(model), "recalibrated").codes == {"old-statistics"}


@pytest.mark.parametrize("affine", [True, False])
def test_missing_buffers_are_found_on_either_side(affine):
    model = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4, affine=affine), nn.Linear(4, 2))
    state = dict(model.named_parameters())
    for pair, side in (((model, state), "b"), ((state, model.state_dict()), "a")):
        (found,) = doctor.compare(*pair).findings
        assert (found.code, found.layer, found.severity) == ("missing-buffers", "1", "error")
        assert found.seen.startswith(f"{side} has the layer without")


def test_prefixes_and_casts_are_no_difference(tmp_path):
    model = trained()
    wrapped = {f"model.{k}": v for k, v in model.state_dict().items()}
    torch.save({"state_dict": wrapped}, tmp_path / "lightning.ckpt")
    assert doctor.compare(tmp_path / "lightning.ckpt", model, "copy").findings == []
    assert doctor.compare(model, copy.deepcopy(model).half(), "copy").findings == []
    assert doctor.compare(model, other_data(model), "copy").codes == {"old-statistics"}


def test_statistics_of_the_same_parameters_are_told_apart_with_their_counters():
    model = trained()
    other = other_data(model)
    counted = [int(m[1].num_batches_tracked) for m in (model, other)]
    assert counted[0] != counted[1]
    found = doctor.compare(model, other).findings
    assert found
    for finding in found:
        assert finding.seen.endswith(f"sd apart (counters {counted[0]}, {counted[1]})")


def test_an_export_in_training_mode_or_without_batch_norm_is_said_to_be_so():
    model = trained()
    assert ("mixed-modes", "warning") in {
        (f.code, f.severity) for f in doctor.compare(model, copy.deepcopy(model).train(), "export").findings
    }
    folded = nn.Sequential(*[nn.Identity() if isinstance(m, nn.BatchNorm1d) else m for m in trained()])
    assert any("no batch-norm layer" in remark for remark in doctor.compare(model, folded, "export").remarks)
    other = copy.deepcopy(model)
    other[1].eps = 1e-3
    assert doctor.compare(model, other, "export").codes == {"epsilon-unusual"}


def test_the_distance_is_in_standard_deviations():
    first, second = nn.BatchNorm1d(3, eps=0.0), nn.BatchNorm1d(3, eps=0.0)
    second.running_mean.fill_(0.5)
    a, b = of_module("a", first), of_module("b", second)
    assert apart(a, b) == pytest.approx(0.5, rel=1e-4)
    second.running_mean.zero_()
    second.running_var.fill_(4.0)
    assert apart(a, b) == pytest.approx(torch.tensor(2.0).log().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((net(), nn.Linear(3, 3)), ValueError, "allowed: two states of one network"),
        ((net(), net(), "twin"), ValueError, "relation is 'twin'; allowed"),
        ((net(), 3), TypeError, "b is a int; allowed"),
        (
            ({"x": net().state_dict(), "y": net().state_dict()}, net()),
            ValueError,
            "a holds 2 state_dicts, at 'x', 'y'; allowed: one of them",
        ),
    ],
)
def test_what_can_t_be_compared_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        doctor.compare(*arguments)


def behind():
    model = trained()
    model[4].running_mean += 3
    return model


def lightning(model, **beside):
    """A checkpoint as Lightning writes it: the model under a name, other modules and metrics beside it."""
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state |= {"loss.weight": torch.ones(4), "metric.0.total": torch.zeros(()), **beside}
    return {"state_dict": state, "epoch": 3}


@pytest.mark.parametrize("swapped", [False, True])
def test_a_network_is_found_under_a_name_with_others_beside_it(swapped):
    pair = [trained(), lightning(behind())]
    report = doctor.compare(*(reversed(pair) if swapped else pair))
    assert [f.layer for f in report.findings] == ["4"]
    assert report.batch_norms == 2
    which = "a" if swapped else "b"
    assert f"Of {which} what lies under 'model.' was compared." in report.remarks


def test_a_network_is_found_in_a_module_that_holds_it():
    holder = nn.ModuleDict({"model": behind(), "loss": nn.Linear(4, 2)})
    assert [f.layer for f in doctor.compare(holder, trained()).findings] == ["4"]
    assert [f.layer for f in doctor.compare(trained(), holder).findings] == ["4"]


def test_two_networks_under_two_names_are_refused():
    average = {f"ema.{name}": tensor for name, tensor in behind().state_dict().items()}
    with pytest.raises(ValueError, match=r"b has the other's names under 'model\.' and under 'ema\.'"):
        doctor.compare(trained(), lightning(trained(), **average))


def test_layers_of_other_widths_are_refused_by_name():
    wide = nn.Sequential(nn.BatchNorm1d(8))
    with pytest.raises(ValueError, match="layer '0' has 4 channels in a and 8 in b"):
        doctor.compare(nn.Sequential(nn.BatchNorm1d(4)), wide)
