"""The first steps of a run alone: those of the whole run, and told from those of any other."""

from __future__ import annotations

import pytest

from bnstudy.records.spec import RunSpec
from bnstudy.records.store import Store
from bnstudy.study import verify, work
from bnstudy.study.beginning import first_steps
from bnstudy.study.deciding import source_of
from bnstudy.train.fleet import train_run

BASE = {"dataset": "digits", "train_size": 80, "batch_size": 16, "epochs": 2, "precision": "float32"}


def head(table, count):
    return {name: values[:count] for name, values in table.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "annealed", "evaluations": 4},
        {"updates": "after_step", "zero_debias": ["none"], "norm_last": False},
        {"padding": 4, "batch_weights": True},
        {"dropout": 0.5, "precision": "bfloat16"},
        {"norm": "noisy", "probes": ["gaussianity"], "probed_steps": 3},
        {"norm": "none", "optimizer": "sgd", "learning_rate": 1e4},
    ],
)
def test_they_are_those_of_the_whole_run(few_digits, changes):
    spec = RunSpec(**{**BASE, **changes})
    whole = train_run(spec, few_digits, progress=False).tables["training"]
    # A run that diverges is recorded up to where that is seen, perhaps before the third step.
    count = min(3, len(whole["step"]))
    assert head(first_steps(spec, few_digits, 3)["training"], count) == head(whole, count)


def test_probes_see_in_them_what_they_see_in_the_whole_run(few_digits):
    probes = ["activation_drift", "gaussianity", "gradient_health", "internal_covariate_shift"]
    spec = RunSpec(**BASE, probes=probes, probed_steps=3, norm="noisy", evaluations=1)
    whole = work.trained([spec], few_digits)[0].tables
    begun = first_steps(spec, few_digits, 10)
    for name in probes:
        assert len(begun[name]["step"]) > 0
        assert begun[name] == whole[name]


def test_of_a_run_that_has_fewer_it_takes_all(few_digits):
    spec = RunSpec(**BASE)
    whole = train_run(spec, few_digits, progress=False).tables["training"]
    assert len(whole["step"]) == 10
    assert first_steps(spec, few_digits, 99) == {"training": whole}


@pytest.fixture
def recorded(tmp_path, few_digits, monkeypatch):
    """Return what writes a record of a run of ten steps, with a provenance and losses of one's own."""
    monkeypatch.setattr(work, "_dataset", lambda name: few_digits)
    spec = RunSpec(**BASE)
    done = work.begin(spec, 10)
    assert isinstance(done, work.Finished)
    store = Store(tmp_path)

    def write(provenance=None, **columns):
        made = {**done.provenance, **(provenance or {})}
        tables = {"training": {**done.tables["training"], **columns}}
        return store.write(spec, made, "finished", tables), store

    return write, done.tables["training"]


def test_a_record_is_replayed_bit_for_bit(recorded):
    write, _ = recorded
    again = verify.replay(*write(), 4)
    assert (again.expected, again.equal, again.difference, again.matches) == ("bit for bit", True, 0.0, True)
    assert "first 4 steps equal, bit for bit" in str(again)


@pytest.mark.parametrize("step", [1, 4])
def test_another_loss_at_any_of_the_steps_is_found(recorded, step):
    write, table = recorded
    losses = list(table["loss"])
    losses[step - 1] *= 1 + 1e-6
    again = verify.replay(*write(loss=losses), 4)
    assert not again.equal
    assert not again.matches
    assert str(again).endswith("expected bit for bit: NO")


def test_on_another_machine_accuracy_has_to_be_close(recorded):
    write, table = recorded
    losses = [loss * (1 + 1e-6) for loss in table["loss"]]
    again = verify.replay(*write({"threads": 7}, loss=losses), 4)
    assert (again.expected, again.equal, again.matches) == ("close", False, True)


def test_on_another_machine_another_accuracy_does_not_pass(recorded):
    write, table = recorded
    other = [a + 0.1 for a in table["accuracy"]]
    again = verify.replay(*write({"threads": 7}, accuracy=other), 4)
    assert again.difference == pytest.approx(0.1)
    assert not again.matches


def test_on_another_machine_another_loss_does_not_pass(recorded):
    write, table = recorded
    again = verify.replay(*write({"device": "a graphics card"}, loss=[x * 1.06 for x in table["loss"]]), 4)
    assert again.difference == 0.0
    assert not again.matches
    assert str(again).endswith("expected close: NO; mean loss differs by 5.7% (allowed 5%)")


def test_records_of_an_unknown_source_need_only_be_close_and_of_an_equal_one_be_equal(recorded):
    write, table = recorded
    record, store = write({"source": "other"}, loss=[loss * (1 + 1e-6) for loss in table["loss"]])
    assert verify.replay(record, store, 4).matches
    equal = source_of(record.spec)
    (store.root / "sources.json").write_text(f'[{{"source": "other", "same_as": "{equal}"}}]')
    assert not verify.replay(record, store, 4).matches
