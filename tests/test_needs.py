"""What a study needs, against records that measured some of it."""

from __future__ import annotations

import pytest

from bnstudy.chapters import plan_of
from bnstudy.records.store import Store
from bnstudy.study.needs import needs
from tests.engine import SETTINGS

STUDY = plan_of("decay", {**SETTINGS, "decays": [0.9, 0.99], "seeds": 2, "schedules": ["constant"]})


@pytest.mark.parametrize(
    ("measured", "found", "missing"),
    [
        ({}, 1, []),
        ({"decays": (0.9, 0.97, 0.99)}, 1, []),
        ({"decays": (0.9,)}, 1, [(0.99,)]),
        ({"zero_debias": ("both", "mean", "none")}, 1, []),
        ({"zero_debias": ("none",)}, 0, [(0.9, 0.99)]),
        ({"zero_debias": ("both",), "decays": (0.9, 0.97, 0.99)}, 0, [(0.9, 0.99)]),
        ({"learning_rate": 0.5, "decays": (0.9, 0.97, 0.99)}, 0, [(0.9, 0.99)]),
    ],
)
def test_a_record_serves_a_run_with_what_it_measured_of_it(tmp_path, measured, found, missing):
    """All the debiasing that the run asks for has to be there, for each decay that the record is to give."""
    store = Store(tmp_path)
    first, second = (run.spec for run in STUDY.runs())
    assert first.zero_debias == ("both", "none")
    store.write(second, {}, "finished", {})
    store.write(first.model_copy(update=measured), {}, "finished", {})
    for scan in (None, store.scan()):
        result = needs(STUDY, store, scan)
        assert sum(f.run.spec == first for f in result.found) == found
        assert [spec.decays for spec in result.missing] == missing
        assert all(spec.zero_debias == first.zero_debias for spec in result.missing)
