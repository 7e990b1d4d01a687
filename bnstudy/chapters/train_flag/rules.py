"""What the flag at test time costs: accuracies by flag, order and size of the test batches."""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.tables import Tables, paired, per_seed, rows

ORDERS = ("shuffled", "sorted by class")

# What a network is evaluated with, as the table's column ``statistics`` says it, and as a call would.
FLAGS = {"moving": "False", "batch": "True", "leaked": "False after True"}


def flag_accuracy(tables: Tables, statistics: str, order: str, size: int) -> pd.Series[float]:
    """Return test accuracy by seed with ``statistics`` ("moving", "batch" or "leaked").

    Raises:
        NotMeasuredError: the order or the size of test batches was not measured.
    """
    return per_seed(
        rows(tables, "flag", statistics=statistics, order=order, test_batch_size=size), "accuracy"
    )


def against_false(tables: Tables, statistics: str, order: str, size: int) -> pd.Series[float]:
    """Return by seed what the accuracy gains by ``is_training=False`` over another flag."""
    off, other = (flag_accuracy(tables, s, order, size) for s in ("moving", statistics))
    return paired(off, other)


def sizes(tables: Tables) -> list[int]:
    """Return the sizes of test batches that were measured, ascending."""
    return sorted(int(size) for size in tables["flag"]["test_batch_size"].unique())
