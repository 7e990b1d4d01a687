"""The benchmark of faults: what is injected, how harm is decided apart, and how rates are counted."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from bnstudy import doctor
from bnstudy.doctor import faults, rates
from bnstudy.doctor.faults import trial
from bnstudy.doctor.faults.lab import norms


@pytest.fixture(scope="module")
def lab(digits):
    data = faults.Data.of(digits, side=8, images=512)
    return faults.Lab(data, "cnn", seed=0, steps=60)


def test_every_code_has_its_fault_and_every_severity_is_another():
    assert {fault.code for fault in faults.FAULTS} == set(doctor.codes())
    assert len({fault.name for fault in faults.FAULTS}) == len(faults.FAULTS)
    assert all(len(set(f.severities)) == len(f.severities) >= 2 for f in faults.FAULTS)
    assert len({kind.name for kind in faults.HEALTHY}) == len(faults.HEALTHY) >= 15
    assert not faults.DEVELOPED_ON.keys() & faults.JUDGED_ON.keys()


# One of each call; the benchmark has them all.
SOME = ("a variance below 0", "checkpoint without buffers", "left in eval", "batch norm by hand")


@pytest.mark.parametrize("name", SOME)
def test_an_injected_fault_is_named_and_the_lab_stays_healthy(lab, name):
    fault = next(fault for fault in faults.FAULTS if fault.name == name)
    outcome, _ = faults.try_fault(lab, "digits", fault, fault.severities[-1])
    assert rates.named({**outcome.as_dict()}), outcome
    assert doctor.scan(lab.healthy().eval()).ok


def test_a_healthy_kind_is_left_in_peace_and_a_case_is_the_same_each_time(lab):
    kinds = {kind.name: kind for kind in faults.HEALTHY}
    first, _ = faults.try_healthy(lab, "digits", kinds["frozen batch norm"])
    second, _ = faults.try_healthy(lab, "digits", kinds["frozen batch norm"])
    assert first == second
    assert not rates.alarms(first.as_dict())


def test_harm_is_decided_without_the_doctor(lab):
    model, test = lab.healthy().eval(), lab.data.test_batches()
    assert trial.harm(model, copy.deepcopy(model), test, test) == (False, 0.0, 0.0)
    worse = copy.deepcopy(model)
    norms(worse)[-1].reset_running_stats()
    nn.init.zeros_(worse.head.weight)
    harmful, accuracy, loss = trial.harm(worse, model, test, test)
    x, y = lab.data.x_test, lab.data.y_test
    with torch.no_grad():
        expected = [(m(x).argmax(1) == y).float().mean().item() for m in (model, worse)]
    assert harmful
    assert accuracy == pytest.approx(expected[0] - expected[1], abs=1e-6)
    assert loss > 0
    assert not trial.harm(model, worse, test, test)[0]


def outcome(kind="fault", code="drift", said=None, harmful=None, audit=None, name="x"):
    return {
        "kind": kind,
        "code": code,
        "name": name,
        "said": said or {},
        "harmful": harmful,
        "audit": audit,
        "severity": 1.0,
        "model": "m",
        "seed": 0,
        "accuracy_lost": 0.1,
    }


RESULT = {
    "torch_audit": "0",
    "outcomes": [
        outcome(code="tiny-batch", said={"watch": {"tiny-batch": "warning"}}, harmful=True, audit=["TA304"]),
        outcome(code="tiny-batch", said={"scan": {"mixed-modes": "warning"}}, harmful=True, audit=[]),
        outcome(code="drift", said={"diagnose": {"drift": "note"}}, harmful=False, audit=["TA200"]),
        outcome("healthy", None, {"watch": {"double-update": "note"}}, audit=["TA200"], name="a"),
        outcome("healthy", None, {"scan": {"non-finite": "error"}}, audit=["TA501"], name="b"),
    ],
}


def test_rates_are_counted_by_hand():
    assert rates.headline(RESULT) == {
        "faults": (2, 3),
        "harmful": (1, 2),
        "false alarms": (1, 2),
        "audit faults": (1, 3),
        "audit harmful": (1, 2),
        "audit false alarms": (2, 2),
        "audit false alarms on batch norm": (1, 2),
    }
    by_code = rates.detection(RESULT).set_index("code")
    assert by_code.loc["tiny-batch", "named"].endswith("(1 of 2)")
    assert by_code.loc["tiny-batch", "torch-audit"] == "1 of 2"
    assert by_code.loc["drift", "torch-audit"] == "no such rule"
    assert rates.missed(RESULT)["said instead"].tolist() == ["mixed-modes"]
    confused = rates.confusion(RESULT).set_index("injected")
    assert confused.loc["tiny-batch", "other errors and warnings"] == "mixed-modes 1"
    assert confused.loc["drift", "no error or warning"] == 1
    alarms = rates.false_alarms(RESULT).set_index("healthy kind")
    assert alarms.loc["b", "false alarms"] == "1 of 1"
    assert alarms.loc["a", "false alarms"] == "0 of 1"
    assert rates.drift(RESULT) == {"diagnosed": 1, "drift": 1, "harmless": 1, "harmful": 0}


def test_intervals_are_wilson_s():
    from scipy import stats

    for hits, cases in ((0, 5), (3, 7), (59, 60), (60, 60)):
        expected = stats.binomtest(hits, cases).proportion_ci(method="wilson")
        assert rates.interval(hits, cases) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.mark.parametrize(
    ("rate", "goal", "above", "said"),
    [
        ((0, 2000), 0.01, False, "met"),
        ((0, 270), 0.01, False, "met, but not by its whole interval"),
        ((3, 270), 0.01, False, "missed"),
        ((99, 100), 0.95, True, "met, but not by its whole interval"),
        ((94, 100), 0.95, True, "missed"),
        ((0, 0), 0.95, True, "not measured"),
    ],
)
def test_a_goal_is_met_by_the_share_or_by_its_whole_interval(rate, goal, above, said):
    assert rates._met(rate, goal, above=above) == said


def test_what_was_not_recorded_is_said_to_be_so(tmp_path):
    assert rates.results(tmp_path) == {}
    assert rates.answer({}) == "On digits: not measured.\n\nOn cifar10: not measured."


def test_the_recorded_results_are_of_models_and_seeds_that_were_not_developed_on():
    found = rates.results(Path(__file__).parents[2] / "data" / "bench")
    assert "digits" in found
    for result in found.values():
        assert not set(result["models"]) & faults.DEVELOPED_ON.keys()
        assert not set(result["seeds"]) & {0, 1}
        codes = {row["code"] for row in rates.faults(result)}
        assert codes == set(doctor.codes())
        assert len({row["name"] for row in rates.healthy(result)}) >= 15
        assert "%" in rates.answer(found)
        for table in (rates.detection, rates.false_alarms, rates.confusion):
            assert len(table(result))
