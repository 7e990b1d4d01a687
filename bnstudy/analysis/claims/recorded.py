"""Which of the claims' studies are recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable

from bnstudy.analysis.rules import Claim
from bnstudy.analysis.tables import Tables
from bnstudy.study import SpecError, load


def recorded(claims: Iterable[Claim], data_dir: str | os.PathLike[str] = "") -> dict[str, Tables]:
    """Return the tables of every study that the claims' rules name, less those not recorded in full.

    A study with a record missing is as good as not measured here; its own chapter stops the build over it.
    """
    studies: dict[str, Tables] = {}
    for study in dict.fromkeys(rule.study for claim in claims for rule in claim.rules):
        try:
            studies[study] = load(study, data_dir)
        except (SpecError, LookupError):
            continue
    return studies
