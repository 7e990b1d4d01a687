"""Which of the claims' studies are recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable

from bnstudy.analysis.claims.rule import Claim
from bnstudy.study.experiment import EXPERIMENTS, Frames, count_runs, load


def recorded(claims: Iterable[Claim], data_dir: str | os.PathLike[str] = "") -> dict[str, Frames]:
    """Return the tables of every study that the claims' rules name, less those not recorded in full.

    A study with a record missing is as good as not measured here; its own chapter stops the build over it.
    """
    studies = {}
    for study in dict.fromkeys(rule.study for claim in claims for rule in claim.rules):
        if study in EXPERIMENTS and count_runs(study, data_dir)[1] == 0:
            studies[study] = load(study, data_dir)
    return studies
