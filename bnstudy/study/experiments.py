"""The experiments there are, and how their parameters are read."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnstudy.chapters.convergence.study import ConvergenceStudy
from bnstudy.chapters.covariate_shift.study import CovariateShiftStudy
from bnstudy.chapters.decay.study import DecayStudy
from bnstudy.chapters.decay_range.study import DecayRangeStudy
from bnstudy.chapters.explosion.study import ExplosionStudy
from bnstudy.chapters.knobs.study import KnobsStudy
from bnstudy.chapters.regularisation.study import RegularisationStudy
from bnstudy.chapters.train_flag.study import TrainFlagStudy
from bnstudy.chapters.updates_collections.study import UpdatesCollectionsStudy
from bnstudy.records.spec import SpecError, validate
from bnstudy.study.plan import Study

EXPERIMENTS: dict[str, type[Study]] = {
    study.name: study
    for study in (
        DecayStudy,
        DecayRangeStudy,
        UpdatesCollectionsStudy,
        TrainFlagStudy,
        CovariateShiftStudy,
        ExplosionStudy,
        ConvergenceStudy,
        RegularisationStudy,
        KnobsStudy,
    )
}

# What a caller may set besides: where a study runs, not what it is.
WHERE = ("device", "data_dir", "progress")

# What a notebook's namespace holds besides its parameters.
_INTERACTIVE = {"In", "Out", "get_ipython", "exit", "quit", "open"}


def plan_of(experiment: str, parameters: Mapping[str, Any]) -> Study:
    """Return the validated parameters of an experiment.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range.
    """
    if experiment not in EXPERIMENTS:
        raise SpecError(f"experiment is {experiment!r}; allowed: {', '.join(map(repr, EXPERIMENTS))}")
    return validate(EXPERIMENTS[experiment], parameters, WHERE)


def from_namespace(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in a notebook's ``globals()``, without modules and private names."""
    settings = {
        name: value
        for name, value in namespace.items()
        if not name.startswith("_") and name not in _INTERACTIVE and not isinstance(value, types.ModuleType)
    }
    for name in ("device", "data_dir"):
        if name in settings and not isinstance(settings[name], str | os.PathLike):
            raise SpecError(f"{name} is {settings[name]!r}; allowed: a string")
    return settings


def default_data_dir() -> Path:
    """Return the repository's ``data/``, found from the package and not from the caller's folder."""
    return Path(__file__).resolve().parents[2] / "data"
