"""The studies' plans: which runs they ask for, in what they differ, and what comes of a small one."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

import bnstudy
from bnstudy.chapters import EXPERIMENTS, plan_of
from bnstudy.chapters.found import parts
from bnstudy.records.kinds import SharingSpec, StepCostSpec, TensorFlowSpec
from bnstudy.records.spec import RunSpec, SpecError
from bnstudy.records.store import Store
from bnstudy.records.tables import columns_of
from bnstudy.study.frames import Frames
from bnstudy.study.needs import needs
from bnstudy.study.plan import Listed

CHAPTERS = Path(bnstudy.__file__).parent / "chapters"

MADE = {"source": "of last year"}


class Menu(Listed):
    name: ClassVar[str] = "menu"

    def base(self):
        return {"dataset": "digits", "epochs": 3}

    def variants(self):
        return [
            ({"arm": "plain", "size": ""}, {}),
            ({"arm": "small", "size": "9"}, {"train_size": 9, "epochs": 1}),
            ({"arm": "small", "size": "8"}, {"train_size": 8}),
        ]


def test_a_listed_study_has_each_variant_once_a_seed():
    runs = Menu(seeds=2).runs()
    labels = [("plain", ""), ("small", "9"), ("small", "8")]
    assert [(r.arms["arm"], r.arms["size"], r.spec.seed) for r in runs] == [
        (*label, seed) for seed in (0, 1) for label in labels
    ]
    assert [(r.spec.train_size, r.spec.epochs, r.spec.dataset) for r in runs[:3]] == [
        (None, 3, "digits"),
        (9, 1, "digits"),
        (8, 3, "digits"),
    ]
    assert Menu().axes() == {}


def trainings(plan):
    return [run for run in plan.runs() if isinstance(run.spec, RunSpec)]


def differences(spec, other):
    """The fields in which two runs differ, with the first one's values."""
    a, b = (json.loads(s.model_dump_json()) for s in (spec, other))
    return {name: a[name] for name in a if a[name] != b[name]}


@pytest.mark.parametrize("experiment", parts("study"))
def test_seeds_pair_and_nothing_else_differs_between_them(experiment):
    plan = plan_of(experiment, {"seeds": 3})
    by_seed = [[run for run in plan.runs() if run.spec.seed == seed] for seed in range(3)]
    assert [len(runs) for runs in by_seed] == [len(plan.runs()) // 3] * 3
    for first, *others in zip(*by_seed, strict=True):
        for other in others:
            assert other.arms == first.arms
            assert set(differences(other.spec, first.spec)) == {"seed"}
    # What has one name is one run, and the same arms are the same run.
    arms = [(*run.arms.items(), type(run.spec), run.spec.seed) for run in plan.runs()]
    assert len(set(arms)) == len(arms)


@pytest.mark.parametrize("experiment", parts("study"))
def test_every_parameter_reaches_the_runs(experiment):
    """A parameter that no run heeds would be a broken promise."""
    other = {
        "seeds": 2,
        "dataset": "digits",
        "train_size": 99,
        "precise_images": 60,
        "decays": [0.3],
        "decay": 0.3,
        "batch_sizes": [77],
        "schedules": ["annealed"],
        "rates": [0.7],
        "sgd_rates": [0.7],
        "adam_rates": [0.7],
        "norms": ["none"],
        "optimizers": ["sgd"],
        "epsilons": [0.2, 0.3],
        "test_batches": [3],
        "precision": "float64",
        "tensorflow": False,
        "weight_decay": 0.5,
        "dropout": 0.5,
    }
    standard = {run.spec.name for run in plan_of(experiment, {}).runs()}
    for name, field in EXPERIMENTS[experiment].model_fields.items():
        value = other.get(name, 77 if field.annotation is int or name.endswith("size") else 0.077)
        value = (
            77 if name in ("epochs", "small_epochs", "evaluations", "probed_steps", "tiny_batch") else value
        )
        changed = {run.spec.name for run in plan_of(experiment, {name: value}).runs()}
        assert changed != standard, f"{name}={value} changes no run"


def test_flags_orders_and_sizes_are_of_one_network():
    runs = plan_of("train_flag", {"seeds": 2, "test_batches": "[5, 2]", "decay": 0.5}).runs()
    assert [run.arms for run in runs] == [{}, {}]
    assert all(run.spec.test_batches == (2, 5) for run in runs)
    assert all((run.spec.decays, run.spec.zero_debias) == ((0.5,), ("none",)) for run in runs)
    assert all(run.spec.alone() for run in runs)


def test_settings_depart_from_the_centre_in_one_thing():
    plan = plan_of("decay_range", {"seeds": 2, "learning_rates": "[0.01, 1]", "batch_sizes": [32]})
    runs = {run.arms["setting"]: run.spec for run in plan.runs() if run.spec.seed == 1}
    assert {setting: differences(spec, runs["centre"]) for setting, spec in runs.items()} == {
        "centre": {},
        "learning rate 0.01": {"learning_rate": 0.01},
        "learning rate 1.0": {"learning_rate": 1.0},
        "batch size 32": {"batch_size": 32},
    }
    centre = runs["centre"]
    assert (centre.learning_rate, centre.batch_size, centre.schedule) == (0.001, 128, "constant")
    assert all(spec.zero_debias == ("both", "none") for spec in runs.values())
    assert all(spec.statistics == ("batch", "frozen", "moving", "precise") for spec in runs.values())
    alone = plan_of("decay_range", {"seeds": 2, "learning_rates": "[]", "batch_sizes": []})
    assert [run.arms for run in alone.runs()] == [{"setting": "centre"}] * 2


def test_updates_differ_in_updates_alone():
    plan = plan_of("updates_collections", {"seeds": 2, "epochs": 3})
    first = trainings(plan)[:4]
    assert [run.arms["arm"] for run in first] == ["in place", "with the step", "after the step", "never"]
    assert [run.spec.updates for run in first] == ["in_place", "with_step", "after_step", "never"]
    for one, two in itertools.combinations(first, 2):
        assert set(differences(one.spec, two.spec)) == {"updates"}

    by_kind = {
        spec: [r for r in plan.runs() if type(r.spec) is spec] for spec in (StepCostSpec, TensorFlowSpec)
    }
    assert [(r.arms, r.spec.seed) for r in by_kind[StepCostSpec]] == [
        ({"arm": "step cost"}, s) for s in (0, 1)
    ]
    there = {r.arms["arm"]: r.spec for r in by_kind[TensorFlowSpec] if r.spec.seed == 1}
    assert list(there) == [f"TensorFlow, {arm}" for arm in ("in place", "with the step", "never")]
    for run in first:
        spec = there.get(f"TensorFlow, {run.arms['arm']}")
        if spec is not None:
            assert spec.updates == run.spec.updates
            assert (spec.epochs, spec.learning_rate) == (run.spec.epochs, run.spec.learning_rate)
    without = plan_of("updates_collections", {"tensorflow": "false"}).runs()
    assert not any(isinstance(run.spec, TensorFlowSpec) for run in without)


def test_explosion_crosses_normalisation_and_rates():
    plan = plan_of("explosion", {"seeds": 2, "sgd_rates": [1, 0.5], "adam_rates": "[0.01]"})
    found = {
        (r.arms["arm"], r.arms["training"], r.spec.norm, r.spec.optimizer, r.spec.learning_rate)
        for r in plan.runs()
    }
    training = {("sgd 1", "sgd", 1.0), ("sgd 0.5", "sgd", 0.5), ("adam 0.01", "adam", 0.01)}
    assert found == {(n, label, n, *rest) for n in ("none", "batch") for label, *rest in training}
    assert all(run.spec.probes == ("gradient_health",) for run in plan.runs())


def test_convergence_crosses_normalisation_and_rates_and_times_steps():
    plan = plan_of("convergence", {"seeds": 2, "rates": [0.01, 0.1]})
    found = {
        (r.arms["arm"], r.spec.norm, r.arms["learning_rate"], r.spec.learning_rate) for r in trainings(plan)
    }
    assert found == {(n, n, str(rate), rate) for n in ("none", "batch") for rate in (0.01, 0.1)}
    assert all(run.spec.spacing == "linear" for run in trainings(plan))
    timed = [run.spec for run in plan.runs() if isinstance(run.spec, StepCostSpec)]
    assert [spec.seed for spec in timed] == [0, 1]
    # Both studies that show a step's cost show the same one.
    updates = plan_of("updates_collections", {"seeds": 2}).runs()
    standard = plan_of("convergence", {"seeds": 2}).runs()
    assert {r.spec for r in updates if isinstance(r.spec, StepCostSpec)} == {
        r.spec for r in standard if isinstance(r.spec, StepCostSpec)
    }


def test_regularisers_are_crossed_with_the_amount_of_data():
    plan = plan_of("regularisation", {"seeds": 2, "small_size": 90, "small_epochs": 7, "weight_decay": 0.25})
    runs = {(r.arms["arm"], r.arms["fraction"]): r.spec for r in plan.runs() if r.spec.seed == 0}
    assert len(runs) == len({spec.name for spec in runs.values()}) == 7 * 2
    for fraction in ("all", "a tenth"):
        base = runs["batch", fraction]
        expected = {
            "none": {"norm": "none"},
            "l2": {"norm": "none", "weight_decay": 0.25},
            "dropout": {"norm": "none", "dropout": 0.3},
            "batch": {},
            "batch + l2": {"weight_decay": 0.25},
            "batch + dropout": {"dropout": 0.3},
            "dropout + batch": {"dropout": 0.3, "dropout_place": "before_norm"},
        }
        for arm, changes in expected.items():
            assert differences(runs[arm, fraction], base) == changes
    assert differences(runs["none", "a tenth"], runs["none", "all"]) == {"train_size": 90, "epochs": 7}


def test_knobs_turn_one_thing_at_a_time():
    plan = plan_of("knobs", {"seeds": 2, "epsilons": [0.1, 0.001], "tiny_batch": 3, "tiny_train_size": 60})
    runs = {(r.arms["arm"], r.arms["epsilon"]): r.spec for r in trainings(plan) if r.spec.seed == 1}
    base = runs["no gamma", ""]
    tiny = {"batch_size": 3, "train_size": 60}
    linear = {"relu_on_logits": False}
    expected = {
        ("epsilon", "0.1"): {"epsilon": 0.1},
        ("epsilon", "0.001"): {},  # the default's run, which serves two arms
        ("no gamma", ""): {},
        ("gamma", ""): {"scale": True},
        ("no gamma, linear logits", ""): linear,
        ("gamma, linear logits", ""): {**linear, "scale": True},
        ("no bias", ""): {"conv_bias": False},
        ("last layer not normalised", ""): {"norm_last": False},
        ("last layer not normalised, linear logits", ""): {**linear, "norm_last": False},
        ("tiny batch", ""): tiny,
        ("tiny batch, renorm", ""): {**tiny, "renorm": True, "renorm_rmax": 3.0, "renorm_dmax": 5.0},
        ("tiny batch, padded", ""): {**tiny, "padding": 3},
        ("tiny batch, padded, weighted", ""): {**tiny, "padding": 3, "batch_weights": True},
    }
    assert {arm: differences(spec, base) for arm, spec in runs.items()} == expected
    shared = [
        (r.arms["arm"], r.spec.reuse, r.spec.seed) for r in plan.runs() if isinstance(r.spec, SharingSpec)
    ]
    assert shared == [(arm, arm == "reuse", seed) for seed in (0, 1) for arm in ("reuse", "no reuse")]


@pytest.mark.parametrize(
    ("experiment", "parameters", "message"),
    [
        (
            "train_flag",
            {"test_batches": [5, 0]},
            "test_batches is 0; allowed: a list of integers of at least 1",
        ),
        (
            "train_flag",
            {"test_batches": []},
            "test_batches is \\[\\]; allowed: a list of integers of at least 1",
        ),
        ("train_flag", {"decay": 1}, "decay is 1; allowed: a number from 0 to below 1"),
        (
            "decay_range",
            {"learning_rates": [0.01, 0.001]},
            r"learning_rates is \[0.01, 0.001\]; allowed: values other than learning_rate, which is 0.001",
        ),
        (
            "decay_range",
            {"batch_size": 32},
            r"batch_sizes is \[32, 512\]; allowed: values other than batch_s",
        ),
        ("decay_range", {"learning_rates": [2, 2.0]}, r"learning_rates is \[2.0, 2.0\]; allowed: each value"),
        ("decay_range", {"batch_sizes": "[9, 9]"}, r"batch_sizes is \[9, 9\]; allowed: each value once"),
        ("decay_range", {"batch_sizes": [1]}, "batch_sizes is 1; allowed: a list of integers of at least 2"),
        (
            "decay_range",
            {"learning_rates": 0},
            "learning_rates is 0; allowed: a list of finite numbers above",
        ),
        ("decay_range", {"decays": [0.9, 0.9]}, "decays is .*; allowed: each value once"),
        ("updates_collections", {"updates": "never"}, "unknown parameter 'updates'; allowed: seeds, dataset"),
        (
            "updates_collections",
            {"tensorflow_train_size": 1},
            "tensorflow_train_size is 1; allowed: an integer",
        ),
        ("explosion", {"sgd_rates": [1, 1.0]}, r"sgd_rates is \[1.0, 1.0\]; allowed: each value once"),
        ("explosion", {"adam_rates": []}, "adam_rates is"),
        ("explosion", {"probed_steps": 0}, "probed_steps is 0"),
        ("convergence", {"rates": "[0.1, 0.1]"}, r"rates is \[0.1, 0.1\]; allowed: each value once"),
        ("convergence", {"rates": -1}, "rates is -1; allowed: greater than 0"),
        ("regularisation", {"dropout": 1}, "dropout is 1; allowed: a number"),
        ("regularisation", {"dropout": 0}, "dropout is 0; allowed: a number above 0 and below 1"),
        ("regularisation", {"weight_decay": 0}, "weight_decay is 0; allowed: a finite number above 0"),
        ("knobs", {"epsilons": [0.1]}, "epsilons is"),
        ("knobs", {"epsilons": [0.1, 0.1]}, r"epsilons is \[0.1, 0.1\]; allowed: each value once"),
        ("knobs", {"tiny_batch": 1}, "tiny_batch is 1; allowed: greater than or equal to 2"),
    ],
)
def test_errors_name_parameter_value_and_what_is_allowed(experiment, parameters, message):
    with pytest.raises(SpecError, match=message):
        plan_of(experiment, parameters)


@pytest.mark.parametrize("file", sorted(CHAPTERS.glob("*/small.yaml")), ids=lambda file: file.parent.name)
def test_the_small_re_run_is_one_that_digits_allow(file):
    small = {"dataset": "digits", **yaml.safe_load(file.read_text())}
    images = sum(
        getattr(r.spec, "epochs", 0) * (getattr(r.spec, "train_size", None) or 1438)
        for r in plan_of(file.parent.name, small).runs()
    )
    assert 0 < images < 600_000  # minutes on two cores


@pytest.mark.parametrize("experiment", parts("study"))
def test_defaults_fit_the_data_set(experiment):
    for settings in ({}, {"train_size": 1000}):
        for run in plan_of(experiment, {"dataset": "digits", "seeds": 2, **settings}).runs():
            most = settings.get("train_size", 1438)
            assert (getattr(run.spec, "train_size", None) or 0) <= most
            images = getattr(run.spec, "train_size", None) or most
            assert (getattr(run.spec, "precise_images", None) or 0) <= images
            assert not isinstance(run.spec, TensorFlowSpec)


@pytest.mark.parametrize(
    ("experiment", "parameters", "message"),
    [
        ("decay", {"train_size": 1439}, "train_size is 1439; allowed: at most 1438, the training images"),
        ("regularisation", {"small_size": 5000}, "small_size is 5000; allowed: at most 1438"),
        (
            "regularisation",
            {"precise_images": 500},
            "precise_images is 500; allowed: at most 143, the images",
        ),
        ("knobs", {"tiny_train_size": 6400}, "tiny_train_size is 6400; allowed: at most 1438"),
        (
            "updates_collections",
            {"tensorflow_train_size": 1500},
            "tensorflow_train_size is 1500; allowed: at",
        ),
    ],
)
def test_a_size_that_was_typed_is_refused_by_its_own_name(experiment, parameters, message):
    with pytest.raises(SpecError, match=message):
        plan_of(experiment, {"dataset": "digits", **parameters})
    # Of CIFAR-10 there are enough; nothing but the number of images is against it.
    if "precise_images" not in parameters:
        plan_of(experiment, parameters)


def training_table(rate):
    return {"step": [1, 2], "loss": [2.0, 1.0], "accuracy": [0.1, 0.2], "learning_rate": [rate, rate]}


def cost_table(arms):
    return {"arm": arms, "round": [1] * len(arms), "seconds_per_step": [0.5] * len(arms)}


@pytest.fixture
def converged(tmp_path):
    """A study of convergence whose records are written by hand; one of the runs diverged."""
    store, plan = Store(tmp_path), plan_of("convergence", {"seeds": 2, "rates": [0.25, 0.5]})
    for run in plan.runs():
        if isinstance(run.spec, StepCostSpec):
            store.write(run.spec, MADE, "finished", {"cost": cost_table(["none", "never"])})
            continue
        wild = run.spec.norm == "none" and run.spec.learning_rate == 0.5
        tables = {"training": training_table(run.spec.learning_rate), "evaluation": {}}
        store.write(run.spec, MADE, "diverged at step 2" if wild else "finished", tables)
    return Frames(plan, store, needs(plan, store).found)


def test_the_runs_are_a_table_of_their_own(converged):
    runs = converged["runs"]
    assert list(runs) == ["run", "arm", "learning_rate", "seed", "outcome", "diverged"]
    assert len(runs) == 2 * (4 + 1)
    wild = runs[runs["diverged"] == 1]
    assert set(zip(wild["arm"], wild["learning_rate"], wild["seed"], strict=True)) == {
        ("none", "0.5", 0),
        ("none", "0.5", 1),
    }
    assert set(wild["outcome"]) == {"diverged at step 2"}
    assert (runs[runs["diverged"] == 0]["outcome"] == "finished").all()
    assert list(converged) == ["runs", "training", "evaluation", "cost"]
    with pytest.raises(
        KeyError, match="table 'flag' is not recorded; recorded: runs, training, evaluation, cost"
    ):
        converged["flag"]


def test_a_tables_own_columns_come_before_axes_of_the_same_name(converged):
    training = converged["training"]
    assert list(training) == ["run", "arm", "seed", *columns_of("training")[1:]]
    assert set(training["learning_rate"]) == {0.25, 0.5}  # numbers of the table, no labels of the axis
    assert set(training["arm"]) == {"none", "batch"}
    cost = converged["cost"]
    assert list(cost) == ["run", "learning_rate", "seed", *columns_of("cost")[1:]]
    assert list(cost["arm"]) == ["none", "never"] * 2


def test_one_run_may_serve_two_arms(tmp_path):
    store, plan = Store(tmp_path), plan_of("knobs", {"seeds": 2, "epsilons": [0.001, 0.1]})
    done = {}
    for run in plan.runs():
        if run.spec.name not in done and isinstance(run.spec, RunSpec):
            done[run.spec.name] = store.write(run.spec, MADE, "finished", {"training": training_table(0.1)})
        elif isinstance(run.spec, SharingSpec):
            shared = {"variables": [4], "shared": [float(run.spec.reuse)]}
            done[run.spec.name] = store.write(run.spec, MADE, "finished", {"sharing": shared})
    frames = bnstudy.load("knobs", tmp_path, seeds=2, epsilons=[0.001, 0.1])
    training = frames["training"]
    assert len(training) == 2 * len(trainings(plan))
    both = training[training["run"] == RunSpec.model_validate(trainings(plan)[0].spec).name]
    assert set(zip(both["arm"], both["epsilon"], strict=True)) == {("epsilon", "0.001"), ("no gamma", "")}
    sharing = frames["sharing"].groupby("arm")["shared"].agg(list).to_dict()
    assert sharing == {"reuse": [1.0, 1.0], "no reuse": [0.0, 0.0]}


SMALL = {"dataset": "digits", "seeds": 2, "train_size": 8, "batch_size": 4, "epochs": 1}


def test_the_flags_study_gives_its_table(tmp_path):
    settings = {**SMALL, "test_batches": [360, 180]}
    frames = bnstudy.run_study("train_flag", settings, data_dir=tmp_path, progress=False)
    flag = frames["flag"]
    assert flag.groupby("seed").size().tolist() == [2 * 2 * 3] * 2
    assert list(flag) == ["run", "seed", *columns_of("flag")[1:]]
    assert (flag[flag["statistics"] == "moving"].groupby("seed")["loss"].nunique() == 1).all()


def test_the_range_of_settings_gives_its_tables(tmp_path):
    settings = {**SMALL, "decays": [0.9], "learning_rates": [], "batch_sizes": [8]}
    frames = bnstudy.run_study("decay_range", settings, data_dir=tmp_path, progress=False)
    evaluation = frames["evaluation"]
    # Eight images are two steps of four, and one of eight.
    assert evaluation.groupby("setting")["step"].unique().map(list).to_dict() == {
        "centre": [2],
        "batch size 8": [1],
    }
    # Batch and precise statistics, one frozen average, and two moving ones; on two splits.
    assert evaluation.groupby(["setting", "seed"]).size().tolist() == [5 * 2] * 4


def test_the_study_of_updates_gives_its_tables(tmp_path):
    settings = {**SMALL, "tensorflow": False, "evaluations": 1}
    frames = bnstudy.run_study("updates_collections", settings, data_dir=tmp_path, progress=False)
    assert list(frames) == ["runs", "training", "evaluation", "weights", "cost"]
    weights = frames["weights"].pivot(index=["seed", "step", "parameter"], columns="arm", values="digest")
    assert weights.shape == (2 * 15, 4)
    assert (weights.nunique(axis=1) == 1).all()
    assert frames["cost"].groupby(["seed", "arm"]).size().tolist() == [5] * 10
    again = bnstudy.load("updates_collections", tmp_path, **settings)
    assert again["cost"].equals(frames["cost"])
