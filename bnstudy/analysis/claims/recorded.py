"""Which of the claims' studies are recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable

from bnstudy.analysis.claims.rule import Claim
from bnstudy.study.experiment import EXPERIMENTS, Frames, count_runs, load


def recorded(claims: Iterable[Claim], data_dir: str | os.PathLike[str] = "") -> dict[str, Frames]:
    """Return the tables of every study that the claims' rules name and that is recorded.

    A study without any record has not been made yet and is left out.

    Raises:
        LookupError: a study is recorded in part; the message has the command that completes it.
    """
    studies = {}
    for study in dict.fromkeys(rule.study for claim in claims for rule in claim.rules):
        if study not in EXPERIMENTS:
            continue
        needed, missing = count_runs(study, data_dir)
        if missing < needed:
            studies[study] = load(study, data_dir)
    return studies
