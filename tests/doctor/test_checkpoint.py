"""Checkpoints of every nesting and in several files: all that is in them is found, and what isn't is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from bnstudy import doctor
from bnstudy.doctor.states import find_states
from tests.doctor.nets import batches, net, steps, trained
from tests.doctor.test_scan import set_value, spoil


def bad():
    return spoil(set_value("running_var", 5, -1.0)).state_dict()


def good():
    return trained().state_dict()


def optimiser():
    model = net()
    return steps(model, batches(1), torch.optim.Adam(model.parameters())).state_dict()


PLACES = {
    "beside a lone weight": (lambda: {"weight": torch.rand(10), "model": bad()}, "model"),
    "beside a lone weight and bias": (
        lambda: {"weight": torch.rand(1), "bias": torch.rand(1), "a": {"b": bad()}},
        "a.b",
    ),
    "under a name that begins as others' do": (lambda: {"optimal": bad()}, "optimal"),
    "a schedule's best": (lambda: {"scheduled_best": {"state_dict": bad()}}, "scheduled_best.state_dict"),
    "in a callback": (lambda: {"callbacks": {"EMA": {"weights": bad()}}}, "callbacks.EMA.weights"),
    "in a list": (lambda: {"members": [bad()]}, "members.0"),
    "in a tuple": (lambda: (3, bad()), "1"),
    "below a state_dict": (lambda: {"1.running_mean": torch.rand(3), "inner": bad()}, "inner"),
    "beside an optimiser": (lambda: {"model": bad(), "optimizer": optimiser()}, "model"),
    "as arrays": (lambda: {k: v.numpy() for k, v in bad().items()}, ""),
    "as arrays of the other byte order": (
        lambda: {k: v.numpy().astype(v.numpy().dtype.newbyteorder(">")) for k, v in bad().items()},
        "",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_broken_state_is_found_wherever_it_is(name, tmp_path):
    make, where = PLACES[name]
    assert where in find_states(make()).states
    torch.save(make(), tmp_path / "checkpoint.pt")
    report = doctor.scan(tmp_path / "checkpoint.pt")
    assert "negative-variance" in report.codes
    assert report.findings[0].layer.endswith("1")


def test_every_state_is_found_and_what_was_passed_over_is_said(tmp_path):
    averages = {"exp_avg": {k: v for k, v in good().items() if k.endswith("weight")}}
    holds = {
        "class_weights": torch.rand(4),
        "weight": torch.rand(4),
        "net": good(),
        "optimal": bad(),
        "last": [good()],
        "optimizers": [optimiser()],
        "lr_scheduler": averages,
    }
    torch.save(holds, tmp_path / "checkpoint.pt")
    found = find_states(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert set(found.states) == {"net", "optimal", "last.0"}
    report = doctor.scan(tmp_path / "checkpoint.pt")
    assert report.batch_norms == 6
    assert [f.layer for f in report.findings] == ["optimal: 1"]
    said = next(remark for remark in report.remarks if "Not looked at" in remark)
    assert all(name in said for name in ("'weight'", "optimizers.0", "lr_scheduler.exp_avg"))


def test_a_mapping_that_holds_itself_is_no_endless_search():
    state = good()
    holds = {"model": state}
    holds["self"] = holds
    assert set(find_states(holds).states) == {"model"}


def split(state):
    """Two shards; the counter of each layer lies in the first, its statistics in the second."""
    later = {key for key in state if ".running" in key}
    return {k: v for k, v in state.items() if k not in later}, {k: v for k, v in state.items() if k in later}


def shards(folder, state, suffix, index):
    save = torch.save
    if suffix == ".safetensors":
        save = pytest.importorskip("safetensors.torch").save_file
    paths = [folder / f"model-{i:05}-of-00002{suffix}" for i in (1, 2)]
    for path, part in zip(paths, split(state), strict=True):
        save(part, path)
    if index:
        placed = {key: path.name for path, part in zip(paths, split(state), strict=True) for key in part}
        (folder / f"model{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    return paths


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("index", [True, False])
def test_a_shard_stands_for_its_set(suffix, index, tmp_path):
    for state, codes in ((good(), set()), (bad(), {"negative-variance"})):
        paths = shards(tmp_path, state, suffix, index)
        given = [*paths, *([tmp_path, tmp_path / f"model{suffix}.index.json"] if index else [])]
        for path in given:
            report = doctor.scan(path)
            assert report.codes == codes
            assert report.batch_norms == 2
            assert any("2 files were read together" in remark for remark in report.remarks)


@pytest.mark.parametrize("index", [True, False])
def test_a_part_of_a_set_is_said_to_be_one_and_lacks_nothing(index, tmp_path):
    first, second = shards(tmp_path, good(), ".bin", index)
    second.unlink()
    for report in (doctor.scan(first), doctor.compare(trained(), first)):
        assert report.ok
        assert "missing-buffers" not in report.codes
        assert any("a part" in remark for remark in report.remarks)
    # The same names in a file that isn't a part are an error.
    torch.save(split(good())[0], tmp_path / "whole.pt")
    assert "missing-buffers" in doctor.scan(tmp_path / "whole.pt").codes


def test_indices_that_lead_nowhere_are_refused_by_name(tmp_path):
    with pytest.raises(doctor.CheckpointError, match="a folder with no index"):
        doctor.scan(tmp_path)
    (tmp_path / "a.index.json").write_text("{}")
    with pytest.raises(doctor.CheckpointError, match=r"a\.index\.json can't be read"):
        doctor.scan(tmp_path)
    # Beside another checkpoint it doesn't matter.
    torch.save(good(), tmp_path / "whole.pt")
    assert doctor.scan(tmp_path / "whole.pt").ok
    (tmp_path / "b.index.json").write_text("{}")
    with pytest.raises(doctor.CheckpointError, match="a folder with 2 indices"):
        doctor.scan(tmp_path)


def test_an_index_leads_to_no_file_outside_of_its_folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    torch.save(bad(), tmp_path / "secret.bin")
    torch.save(good(), inside / "own.bin")
    placed = {"0.weight": "own.bin", "1.weight": "../secret.bin"}
    (inside / "model.bin.index.json").write_text(json.dumps({"weight_map": placed}))
    report = doctor.scan(inside)
    assert report.ok
    assert any("secret.bin missing" in remark for remark in report.remarks)


def test_numbers_that_numpy_counted_are_counters():
    state = {k: (np.int64(v) if v.dim() == 0 else v.numpy()) for k, v in good().items()}
    tensors = find_states(state).states[""]
    assert int(tensors["1.num_batches_tracked"]) == int(good()["1.num_batches_tracked"]) > 0


def test_states_without_values_or_of_several_models_are_refused_by_name(tmp_path):
    with torch.device("meta"):
        empty = net()
    stacked = torch.func.stack_module_state([net(), net()])[1]
    torch.save(stacked, tmp_path / "stacked.pt")
    for subject in (empty, empty.state_dict()):
        with pytest.raises(ValueError, match="layer '1' is on the device 'meta'"):
            doctor.scan(subject)
    for subject in (stacked, tmp_path / "stacked.pt"):
        with pytest.raises(ValueError, match=r"layer '1' has a counter of shape \[2\]"):
            doctor.scan(subject)
    assert doctor.scan({key: tensor[0] for key, tensor in stacked.items()}).batch_norms == 2
