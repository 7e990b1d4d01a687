"""Runs that are no training: each kind of spec with the function that measures it.

Each takes the spec and the data set that it names, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnstudy.records.tables import Table
from bnstudy.study.measures import sharing, step_cost, tensorflow

# Tables by name, and versions of libraries besides those of every run.
Measured = tuple[dict[str, Table], dict[str, str]]

MEASURES: dict[str, Callable[[Any, Any], Measured]] = {
    "step_cost": step_cost.measure,
    "sharing": sharing.measure,
    "tensorflow": tensorflow.measure,
}
