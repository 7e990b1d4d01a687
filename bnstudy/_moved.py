"""Where modules were in earlier versions: their old import paths work for one version, and say so."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Old path: new path. What was folded into another module is found under that one's name.
MOVED: dict[str, str] = {
    "bnstudy.analysis.amount": "bnstudy.analysis.words",
    "bnstudy.analysis.bootstrap": "bnstudy.analysis.statistics",
    "bnstudy.analysis.chapter": "bnstudy.chapters.decay.page",
    "bnstudy.analysis.cite": "bnstudy.analysis.words",
    "bnstudy.analysis.claims": "bnstudy.chapters.claims",
    "bnstudy.analysis.claims.averages": "bnstudy.chapters.decay.rules",
    "bnstudy.analysis.claims.distribution": "bnstudy.chapters.covariate_shift.rules",
    "bnstudy.analysis.claims.judge": "bnstudy.analysis.rules",
    "bnstudy.analysis.claims.knobs": "bnstudy.chapters.knobs.rules",
    "bnstudy.analysis.claims.labels": "bnstudy.analysis.words",
    "bnstudy.analysis.claims.recorded": "bnstudy.chapters.claims",
    "bnstudy.analysis.claims.rule": "bnstudy.analysis.rules",
    "bnstudy.analysis.claims.training": "bnstudy.chapters.convergence.rules",
    "bnstudy.analysis.claims.words": "bnstudy.analysis.words",
    "bnstudy.analysis.convergence": "bnstudy.chapters.convergence.rules",
    "bnstudy.analysis.covariate_shift": "bnstudy.chapters.covariate_shift.page",
    "bnstudy.analysis.decay": "bnstudy.chapters.decay.rules",
    "bnstudy.analysis.decay_range": "bnstudy.chapters.decay_range.rules",
    "bnstudy.analysis.explosion": "bnstudy.chapters.explosion.page",
    "bnstudy.analysis.figures": "bnstudy.chapters.decay.figures",
    "bnstudy.analysis.knobs": "bnstudy.chapters.knobs.page",
    "bnstudy.analysis.performance": "bnstudy.chapters.performance.page",
    "bnstudy.analysis.performance_figures": "bnstudy.chapters.performance.figures",
    "bnstudy.analysis.regularisation": "bnstudy.chapters.regularisation.page",
    "bnstudy.analysis.row_labels": "bnstudy.analysis.style",
    "bnstudy.analysis.seed_points": "bnstudy.analysis.style",
    "bnstudy.analysis.train_flag": "bnstudy.chapters.train_flag.rules",
    "bnstudy.analysis.updates_collections": "bnstudy.chapters.updates_collections.rules",
    "bnstudy.build": "bnstudy.train.build",
    "bnstudy.captured": "bnstudy.train.captured",
    "bnstudy.data": "bnstudy.train.data",
    "bnstudy.device_data": "bnstudy.train.feed",
    "bnstudy.evaluate": "bnstudy.train.evaluate",
    "bnstudy.flag": "bnstudy.train.flag",
    "bnstudy.network": "bnstudy.train.network",
    "bnstudy.norm.affine": "bnstudy.norm.kernel",
    "bnstudy.norm.compiled": "bnstudy.norm.fast.compiled",
    "bnstudy.norm.pooled": "bnstudy.norm.fast.pooled",
    "bnstudy.norm.threads": "bnstudy.norm.fast.threads",
    "bnstudy.openmp": "bnstudy.study.openmp",
    "bnstudy.optimize": "bnstudy.train.optimize",
    "bnstudy.other_specs": "bnstudy.records.kinds",
    "bnstudy.perturb": "bnstudy.train.perturb",
    "bnstudy.seeds": "bnstudy.train.seeds",
    "bnstudy.spec": "bnstudy.records.spec",
    "bnstudy.study.experiment": "bnstudy.chapters.loading",
    "bnstudy.study.experiments": "bnstudy.chapters.found",
    "bnstudy.study.lock": "bnstudy.records.lock",
    "bnstudy.study.package": "bnstudy.records.package",
    "bnstudy.study.probing": "bnstudy.study.watching",
    "bnstudy.study.provenance": "bnstudy.records.provenance",
    "bnstudy.study.store": "bnstudy.records.store",
    "bnstudy.study.tables": "bnstudy.records.tables",
    "bnstudy.tf1.batch_norm_call": "bnstudy.tf1.contrib.layers.call",
    "bnstudy.tf1.core_layer": "bnstudy.tf1.contrib.layers.core_layer",
    "bnstudy.tf1.regularizers": "bnstudy.tf1.contrib.layers.regularizers",
    "bnstudy.tf1.slim_fused": "bnstudy.tf1.contrib.layers.slim_fused",
    "bnstudy.tf1.slim_plain": "bnstudy.tf1.contrib.layers.slim_plain",
    "bnstudy.tf1.traps": "bnstudy.tf1.contrib.layers.traps",
}

# A chapter's parts lay in several folders.
_CHAPTERS = (
    *("convergence", "covariate_shift", "decay", "decay_range", "explosion", "knobs"),
    *("regularisation", "train_flag", "updates_collections"),
)
_PARTS = {"study.{}": "study", "analysis.{}_chapter": "page", "analysis.{}_figures": "figures"}
MOVED |= {
    f"bnstudy.{old.format(name)}": f"bnstudy.chapters.{name}.{part}"
    for name in _CHAPTERS
    for old, part in _PARTS.items()
}

# The same for single names, by the module that had them.
MOVED_NAMES: dict[str, dict[str, str]] = {
    "bnstudy.analysis": {"CLAIMS": "bnstudy.chapters.claims", "recorded": "bnstudy.chapters.claims"},
    "bnstudy.study": {
        "DecayStudy": "bnstudy.chapters.decay.study",
        "load": "bnstudy.chapters",
        "run_study": "bnstudy.chapters",
    },
}


class _Moved(MetaPathFinder, Loader):
    """Finds the modules of ``MOVED`` where they are now."""

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(
            f"{spec.name} is {new} now; the old path goes with the next version",
            DeprecationWarning,
            stacklevel=2,  # the import system's own frames don't count
        )
        module = importlib.import_module(new)
        self._own[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system gives a module the spec that it was asked for; this one has its own already.
        assert module.__spec__ is not None
        module.__spec__ = self._own.pop(module.__spec__.name)


def moved_names(module: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module that finds the names it had in an earlier version."""
    moved = MOVED_NAMES[module]

    def find(name: str) -> Any:
        if name not in moved:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is {moved[name]}.{name} now; the old path goes with the next version",
            DeprecationWarning,
            stacklevel=2,  # the import system's own frames don't count
        )
        value = getattr(importlib.import_module(moved[name]), name)
        vars(sys.modules[module])[name] = value  # `from ... import` asks twice
        return value

    return find


def find_moved() -> None:
    """Let old import paths find their modules."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
