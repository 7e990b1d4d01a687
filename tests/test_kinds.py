"""Runs that are no training of ours: described, measured, recorded and read like any other."""

from __future__ import annotations

import json

import pytest
import torch

from bnstudy.records.kinds import KINDS, SharingSpec, StepCostSpec, TensorFlowSpec, read_spec
from bnstudy.records.package import contents
from bnstudy.records.spec import RunSpec, SpecError, validate
from bnstudy.records.store import NewerError, RecordError, Store, written
from bnstudy.records.tables import RUNS, columns_of
from bnstudy.study import verify
from bnstudy.study.engine import run_all
from bnstudy.study.measures import sharing, step_cost
from bnstudy.study.work import Failed, perform
from bnstudy.train.data import Dataset

COST = StepCostSpec(dataset="digits", batch_size=4, rounds=3, steps=1)
SHARING = {"sharing": {"variables": [4], "shared": [1.0]}}
MADE = {
    "bnstudy": "0",
    "source": "abc",
    "device": "a processor",
    "threads": 1,
    "wall_seconds": 2.0,
    "git": {"commit": None},
    "libraries": {"torch": "2"},
}


def test_a_kind_is_named_by_its_spec():
    assert set(KINDS) == {"train", "step_cost", "sharing", "tensorflow"}
    for kind, spec in KINDS.items():
        assert spec().kind == kind
        assert read_spec(json.loads(spec().canonical())) == spec()
        # A record names its kind itself, also where that is the default.
        assert json.loads(spec().canonical())["kind"] == kind
    assert len({spec().name for spec in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        (
            StepCostSpec,
            {"dataset": "digits", "batch_size": 64, "precision": "float32", "rounds": 2, "steps": 9},
        ),
        (SharingSpec, {"reuse": False}),
        (TensorFlowSpec, {"train_size": 99, "updates": "never", "learning_rate": 0.1, "epochs": 2}),
    ],
)
def test_every_field_counts(spec, changes):
    names = {spec(**{name: value}).name for name, value in {**changes, "seed": 3}.items()}
    assert len(names | {spec().name}) == len(changes) + 2
    assert read_spec(json.loads(spec(**changes).canonical())) == spec(**changes)


@pytest.mark.parametrize(
    ("spec", "parameters", "message"),
    [
        (StepCostSpec, {"rounds": 0}, "rounds is 0; allowed: greater than or equal to 1"),
        (StepCostSpec, {"batch_size": 1}, "batch_size is 1; allowed: greater than or equal to 2"),
        (StepCostSpec, {"epochs": 1}, "unknown parameter 'epochs'; allowed: kind, seed, dataset, batch_size"),
        (StepCostSpec, {"seed": -1}, "seed is -1; allowed: greater than or equal to 0"),
        (SharingSpec, {"reuse": "maybe"}, "reuse is 'maybe'; allowed: a valid boolean"),
        (SharingSpec, {"kind": "train"}, "kind is 'train'; allowed: 'sharing'"),
        (
            TensorFlowSpec,
            {"updates": "after_step"},
            "updates is 'after_step'; allowed: 'in_place', 'with_step' or 'never'",
        ),
        (TensorFlowSpec, {"train_size": 1}, "train_size is 1; allowed: an integer of at least 2, or None"),
        (TensorFlowSpec, {"learning_rate": 0}, "learning_rate is 0; allowed: a finite number above 0"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(spec, parameters, message):
    with pytest.raises(SpecError, match=message):
        validate(spec, parameters)


BAD = [
    ({}, "kind is null; allowed: 'train', 'step_cost', 'sharing', 'tensorflow'"),
    ({"kind": "test"}, "kind is \"test\"; allowed: 'train', "),
    ({"kind": ["train"]}, r"kind is \[\"train\"\]; allowed: 'train', "),
    ({"kind": "sharing", "reuse": 2}, "reuse"),
    ({"kind": "sharing", "rounds": 2}, "rounds"),
]


@pytest.mark.parametrize(("body", "message"), BAD)
def test_a_record_of_no_known_kind_is_a_newer_version_s_and_a_damaged_one_that_says_so_is_not(
    tmp_path, body, message
):
    store = Store(tmp_path)
    name = store.write(SharingSpec(), MADE, "finished", SHARING).spec.name
    sound = store.write(SharingSpec(seed=1), MADE, "finished", SHARING).spec.name
    path = store.runs / name / "record.json"
    header = {**json.loads(path.read_text()), "spec": body}
    path.write_bytes(written(header))
    with pytest.raises(NewerError, match=rf"{name} says what this version doesn't know (.|\n)*{message}"):
        store.read(name)
    scan = store.scan()
    assert (list(scan.newer), list(scan.damaged), list(scan.sound)) == ([name], [], [sound])
    path.write_text(json.dumps(header))
    with pytest.raises(RecordError, match=r"record\.json doesn't match its checksum"):
        store.read(name)
    assert list(store.scan().damaged) == [name]


def test_a_record_of_another_kind_comes_back_as_it_was(tmp_path):
    store = Store(tmp_path)
    for spec in (SharingSpec(), SharingSpec(reuse=False)):
        record = store.write(spec, MADE, "finished", SHARING)
        assert store.read(spec.name) == record
        assert record.spec.reuse == spec.reuse


def test_two_calls_share_everything_or_nothing():
    for reuse, shared in ((True, 1.0), (False, 0.0)):
        tables, libraries = sharing.measure(SharingSpec(reuse=reuse), None)
        # beta, gamma, and the two moving averages
        assert tables == {"sharing": {"variables": [4], "shared": [shared]}}
        assert libraries == {}


@pytest.fixture(scope="module")
def cost(digits):
    few = Dataset("digits", digits.x_train[:8], digits.y_train[:8], digits.x_test[:4], digits.y_test[:4])
    return step_cost.measure(COST, few)[0]["cost"]


def test_every_round_times_every_arm_once(cost):
    assert ["run", *cost] == columns_of("cost")
    assert [len(column) for column in cost.values()] == [3 * 5] * 3
    assert all(seconds > 0 for seconds in cost["seconds_per_step"])
    assert cost["round"] == [1] * 5 + [2] * 5 + [3] * 5
    rounds = [cost["arm"][i : i + 5] for i in (0, 5, 10)]
    arms = {"none", "in place", "with the step", "after the step", "never"}
    assert all(set(order) == arms for order in rounds)
    assert len({order[0] for order in rounds}) == 3  # none of them always comes first


def test_timing_gives_the_settings_of_the_process_back(cost):
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_mixed_study_is_recorded_run_by_run(tmp_path):
    store = Store(tmp_path)
    train = {"dataset": "digits", "train_size": 8, "batch_size": 8, "epochs": 1, "evaluations": 1}
    train |= {"statistics": ["moving"]}
    specs = [RunSpec(**train), COST, RunSpec(**train, seed=1), SharingSpec()]
    report = run_all(specs, store, fleet=4, progress=False)
    assert not report.failed
    assert set(report.trained) == {spec.name for spec in specs}
    read = [store.read(spec.name) for spec in specs]
    assert [set(record.tables) for record in read] == [
        {"training", "evaluation"},
        {"cost"},
        {"training", "evaluation"},
        {"sharing"},
    ]
    assert [record.provenance.get("fleet", {}).get("size") for record in read] == [2, None, 2, None]
    assert read[1].provenance["data_sha256"] == read[0].provenance["data_sha256"] != {}
    assert read[3].provenance["data_sha256"] == {}
    assert all(record.outcome == "finished" for record in read)
    assert all(len(record.provenance["libraries"]) == 3 for record in read)

    # Done again, the timings are others, and all the rest is the same.
    for record in (read[1], read[3]):
        again = verify.rerun(record, store)
        assert (again.expected, again.equal, again.matches) == ("bit for bit", True, True)
        assert str(again).endswith("equal, bit for bit; expected bit for bit: yes")


def test_what_is_recorded_otherwise_does_not_match(tmp_path):
    store = Store(tmp_path)
    spec = SharingSpec(reuse=False)
    [made] = perform([spec])
    record = store.write(spec, made.provenance, "finished", SHARING)
    assert verify.rerun(record, store).matches is False
    fewer = {"arm": ["none"], "round": [1], "seconds_per_step": [1.0]}
    cost = StepCostSpec(dataset="digits", batch_size=4, rounds=1, steps=1)
    [made] = perform([cost])
    record = store.write(cost, made.provenance, "finished", {"cost": fewer})
    assert verify.rerun(record, store).matches is False


def test_an_error_of_a_measurement_is_a_result():
    failure = perform([StepCostSpec(dataset="digits", batch_size=5000)])
    assert isinstance(failure, Failed)
    assert failure.error == "ValueError: batch_size is 5000; allowed: at most 1438, the training images"


def test_the_index_of_runs_describes_every_field_of_every_kind(tmp_path):
    assert {name for spec in KINDS.values() for name in spec.model_fields} <= {c.name for c in RUNS}
    store = Store(tmp_path)
    for kind in KINDS.values():
        store.write(kind(), MADE, "finished", {})
    header, *lines = contents(store)["runs.csv"].splitlines()
    assert sorted(line.split(",")[header.split(",").index("kind")] for line in lines) == sorted(KINDS)
