"""From an experiment's name and parameters to its frames."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from bnstudy.chapters.found import plan_of
from bnstudy.chapters.judged import rules_digests
from bnstudy.records.spec import SpecError
from bnstudy.study.frames import Frames
from bnstudy.study.run import load_plan, run_plan

# What a notebook's namespace holds besides its parameters.
_INTERACTIVE = {"In", "Out", "get_ipython", "exit", "quit", "open"}


def load(experiment: str = "decay", data_dir: str | os.PathLike[str] = "", **parameters: Any) -> Frames:
    """Return an experiment's recorded tables without training anything and without torch.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range.
        NotRecordedError: a run is not recorded, or its record is damaged.
    """
    return load_plan(plan_of(experiment, parameters), data_dir)


def run_study(
    experiment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    device: str = "cpu",
    data_dir: str | os.PathLike[str] = "",
    progress: bool = True,
    executor: Executor | None = None,
) -> Frames:
    """Return an experiment's tables, training only the runs that are not recorded.

    ``parameters`` may be a notebook's ``globals()``: modules and names with a leading underscore
    are left out, and every other name must be a parameter of the experiment, ``device``,
    ``data_dir`` or ``progress``. An arm (a decay) that is not recorded trains its trajectories
    again for that arm alone; recorded arms are kept. A damaged record that is needed is moved to
    ``damaged/`` and trained again.

    ``executor`` is any ``concurrent.futures.Executor`` whose workers can import bnstudy; by default,
    runs train in this process.

    Raises:
        SpecError: the experiment or a parameter is unknown or out of range. Nothing has run then.
        DataError: the data set is not here (only looked for where runs train in this process).
        RecordError: a record can't be written. Every earlier one is there.
        StudyError: some runs failed, and every other one is recorded; or one needs TensorFlow, whose
            environment is not here (likewise), and nothing has run.
        NotRecordedError: a run is not recorded, and the environment variable ``BNSTUDY_TRAIN`` is
            ``never``, as it is while the book is built.
        KeyboardInterrupt: after Ctrl-C, once the run in flight is recorded.
    """
    settings = from_namespace(parameters or {})
    device = settings.pop("device", device)
    data_dir = settings.pop("data_dir", data_dir)
    progress = settings.pop("progress", progress)
    plan = plan_of(experiment, settings)
    return run_plan(
        plan,
        device=device,
        data_dir=data_dir,
        progress=progress,
        executor=executor,
        rules=rules_digests,
    )


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
