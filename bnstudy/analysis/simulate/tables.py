"""The recorded simulation as tables: how often the book errs, and what each part can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

TRUTHS = {
    "bound 1": "every quantity at its first bound",
    "bound 2": "every quantity at its last bound",
    "zero effect": "no effect",
    "smallest effect": "the smallest effect of interest",
}


def false_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """Return the share of studies with a false answer anywhere in the book, a row a truth and spread.

    Columns: truth, spread (as a multiple of what was expected), and one for each skewness of the seeds.
    """
    frame = pd.DataFrame(results["false"])
    frame["truth"] = frame["truth"].map(TRUTHS)
    wide = frame.pivot(index=["truth", "spread"], columns="skewness", values="share")
    wide = wide.reindex(list(TRUTHS.values()), level="truth")
    wide.columns = [f"skewness {skewness:g}" for skewness in wide.columns]
    return wide.reset_index()


def power_table(results: Mapping[str, Any], spread: float = 1.0) -> pd.DataFrame:
    """Return what each part can be expected to tell, a row a part and grade, in its quantity's scale.

    Columns: claim, part, grade, bound, expected (value), target (half-width), and for the planned and for the
    most seeds: holds and fails (shares of studies with that answer at the expected value), half_width, and
    decided_from (how far from the bound four in five studies tell on which side the true value lies).

    Raises:
        ValueError: the spread wasn't simulated.
    """
    frame = pd.DataFrame(results["power"])
    known = sorted(frame["spread"].unique())
    if spread not in known:
        raise ValueError(f"spread is {spread}; allowed: {', '.join(f'{each:g}' for each in known)}")
    frame = frame[frame["spread"] == spread]
    same = ["claim", "part", "grade", "bound", "expected", "target"]
    each = ["holds", "fails", "half_width", "decided_from"]
    halves = [
        frame[frame["seeds"] == seeds].set_index(same)[each].add_suffix(f", {seeds} seeds")
        for seeds in ("planned", "most")
    ]
    return halves[0].join(halves[1]).reset_index()
