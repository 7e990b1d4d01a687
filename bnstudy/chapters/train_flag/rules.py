"""What the flag at test time costs, and C10: accuracies by flag, order and size of the test batches.

Contrasts and bounds are the first ones. That the rules read the table "flag", which the study measures once,
at the last step, was settled before its records were read.
"""

from __future__ import annotations

import pandas as pd

from bnstudy.analysis.rules import SMALLEST_EFFECT, Claim, Label, Rule
from bnstudy.analysis.tables import Tables, paired, per_seed, rows

ORDERS = ("shuffled", "sorted by class")
_ORDERS_ZH = {"shuffled": "打乱", "sorted by class": "按类别排序"}

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


# The regimes in which a network is most often left in training mode by mistake: one image at a time, and
# files in the order of their folders. Shuffled batches of the training size are C6's contrast.
FLAG_SETTINGS = ((1, "shuffled"), (100, "sorted by class"))


def _off_against_on(size: int, order: str) -> Rule:
    return Rule(
        part=f"test batches of {size}, {order}",
        label=Label(
            f"test accuracy, False minus True, in batches of {size}, {order}",
            f"测试准确率，False 减 True，测试批大小 {size}，{_ORDERS_ZH[order]}",
        ),
        study="train_flag",
        quantity="test accuracy at the last step",
        contrast=f"is_training=False minus True, in test batches of {size}, {order}",
        threshold=SMALLEST_EFFECT,
        measure=lambda tables: against_false(tables, "batch", order, size),
    )


C10 = Claim(
    "C10",
    "当测试时,要设置为False",
    "At test time `is_training` must be False, so that the statistics of training are used.",
    "train_flag",
    tuple(_off_against_on(size, order) for size, order in FLAG_SETTINGS),
)


CLAIMS = (C10,)
