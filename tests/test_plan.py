"""A study's runs: the product of its arms with its seeds, paired by seed."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import ClassVar

from bnstudy.records.kinds import read_spec
from bnstudy.records.spec import RunSpec
from bnstudy.study.plan import Study


class Grid(Study):
    name: ClassVar[str] = "grid"

    def base(self):
        return {"dataset": "digits", "epochs": 1}

    def axes(self):
        return {
            "network": {"none": {"norm": "none"}, "bn": {"norm": "batch"}},
            "rate": {str(r): {"learning_rate": r} for r in (0.1, 0.01, 0.001)},
        }


def test_runs_are_the_product_of_arms_and_seeds():
    runs = Grid(seeds=4).runs()
    assert len({run.spec.run_id for run in runs}) == len(runs) == 2 * 3 * 4
    expected = set(itertools.product(("none", "bn"), ("0.1", "0.01", "0.001"), range(4)))
    assert {(r.arms["network"], r.arms["rate"], r.spec.seed) for r in runs} == expected
    for run in runs:
        assert run.spec.norm == {"none": "none", "bn": "batch"}[run.arms["network"]]
        assert run.spec.learning_rate == float(run.arms["rate"])
        assert run.spec.dataset == "digits"


def test_a_runs_id_is_the_hash_of_its_canonical_json():
    spec = RunSpec(seed=3)
    assert spec.run_id == hashlib.sha256(spec.canonical().encode()).hexdigest()
    assert spec.name == spec.run_id[:16]
    assert RunSpec(**json.loads(spec.canonical())) == spec
    assert spec.canonical() == json.dumps(json.loads(spec.canonical()), sort_keys=True, separators=(",", ":"))


def test_committed_records_keep_their_names():
    folders = [p for p in (Path(__file__).parents[1] / "data" / "runs").iterdir() if p.is_dir()]
    assert folders
    for folder in folders:
        body = json.loads((folder / "record.json").read_text())
        assert read_spec(body["spec"]).run_id == body["run"]
        assert body["run"].startswith(folder.name)
