"""Probes as a spec asks for them: they give tables, and leave the run as it was."""

from __future__ import annotations

import pytest

from bnstudy.records.spec import RunSpec
from bnstudy.study.watching import Probed
from bnstudy.train.fleet import evaluation_steps, train_run

ALL = (
    "activation_drift",
    "gaussianity",
    "gradient_health",
    "gradient_predictiveness",
    "internal_covariate_shift",
)


@pytest.mark.parametrize(
    "changes",
    [
        {"norm": "none"},
        {"norm": "batch", "optimizer": "sgd", "learning_rate": 0.1},
        {"norm": "noisy"},
        {"dropout": 0.5},
    ],
)
def test_a_probed_run_is_the_run_without_bit_for_bit(few_digits, changes):
    base = {"dataset": "digits", "train_size": 32, "batch_size": 8, "epochs": 1, "precision": "float32"}
    base |= {"evaluations": 1, **changes}
    spec = RunSpec(**base, probes=ALL, probed_steps=3)
    watch = Probed(spec, few_digits, "cpu")
    probed = train_run(spec, few_digits, progress=False, watch=watch)
    plain = train_run(RunSpec(**base), few_digits, progress=False)
    assert probed.tables == plain.tables

    tables = watch.tables()
    assert tuple(tables) == ALL
    for table in tables.values():
        assert sorted(set(table["step"])) == evaluation_steps(4, 3)
    shift = tables["internal_covariate_shift"]
    rows = list(zip(shift["step"], shift["layer"], shift["quantity"], shift["value"], strict=True))
    first = [
        value for _, layer, quantity, value in rows if layer == "blocks.conv1.conv" and quantity == "ics"
    ]
    assert first == [0.0] * 3
    assert any(value > 0 for _, _, quantity, value in rows if quantity == "ics")
