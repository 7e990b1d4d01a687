"""The sentences and tables of the chapter on the training flag: no number on the page is typed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import pandas as pd

from bnstudy.analysis.slider import Frame
from bnstudy.analysis.statistics import bootstrap_interval, mean_interval
from bnstudy.analysis.words import Markdown
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.train_flag import figures
from bnstudy.chapters.train_flag import rules as tf
from bnstudy.chapters.train_flag.study import TrainFlagStudy


class TrainFlagChapter(Chapter[TrainFlagStudy]):
    """What the chapter says of a study's tables.

    The verdict compares the flags at two sizes of test batches; a study without one of them has none.
    """

    @cached_property
    def sizes(self) -> list[int]:
        """The sizes of test batches."""
        return tf.sizes(self.tables)

    def answer(self) -> Markdown:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self.own.answer(f"Measured {self.setting()}.")

    def finding(self) -> str:
        """Return at which sizes of test batches ``is_training=True`` does worse than False, and better."""
        told = []
        for order in tf.ORDERS:
            worse, better = self._sizes_that_differ("batch", order)
            told.append(
                f"in batches that are {order}, True is worse than False at {self.how_many(worse)} "
                f"and better at {self.how_many(better)}"
            )
        return (
            f"Of {self.cite(len(self.sizes))} sizes of test batches, {'; '.join(told)} (each by its own "
            "95 % interval)."
        )

    def leak(self) -> Markdown:
        """Return what a pass with ``is_training=True`` does to later evaluations with False, in Markdown."""
        lines = []
        for order in tf.ORDERS:
            worse, better = self._sizes_that_differ("leaked", order)
            effects = {
                size: mean_interval(-tf.against_false(self.tables, "leaked", order, size))
                for size in self.sizes
            }
            lowest = min(effects, key=lambda size: effects[size].mean)
            lines.append(
                f"- {order}: False loses accuracy by the pass at {self.how_many(worse)}, and gains at "
                f"{self.how_many(better)}. At the lowest, in test batches of {self.cite(lowest)}, the pass "
                f"changes it by {self.cite(effects[lowest].percent(signed=True))}."
            )
        return Markdown("\n".join(lines))

    def frames(self) -> Iterator[Frame]:
        """Yield one drawing a size of test batch: accuracy by flag and order, for the slider."""
        for size in self.sizes:
            said = []
            for order in tf.ORDERS:
                for statistics, flag in tf.FLAGS.items():
                    reached = tf.flag_accuracy(self.tables, statistics, order, size).mean()
                    said.append(f"{order}, {flag}: {100 * reached:.1f} %")
            yield Frame(
                f"{size:,} image{'s' if size > 1 else ''}",
                f"Test accuracy in test batches of {size:,}: {'; '.join(said)}.",
                figures.accuracy_at_size(self.tables["flag"], size),
            )

    def apart(self) -> list[float]:
        """Return how far apart the accuracies of the two flags lie at each size, mean over the orders."""
        gaps = {
            order: [tf.against_false(self.tables, "batch", order, size).mean() for size in self.sizes]
            for order in tf.ORDERS
        }
        return pd.DataFrame(gaps).abs().mean(axis="columns").tolist()

    def table(self) -> pd.DataFrame:
        """Return test accuracy in percent by order, size and flag: mean over seeds [95 % interval]."""
        lines = []
        for order in tf.ORDERS:
            for size in self.sizes:
                line: dict[str, object] = {"order": order, "images a test batch": size}
                for statistics, flag in tf.FLAGS.items():
                    reached = mean_interval(tf.flag_accuracy(self.tables, statistics, order, size))
                    line[flag] = reached.percent()
                gap = bootstrap_interval(tf.against_false(self.tables, "batch", order, size))
                line["False minus True, points"] = gap.percent(signed=True).replace(" percentage points", "")
                lines.append(line)
        return pd.DataFrame(lines)

    def _sizes_that_differ(self, statistics: str, order: str) -> tuple[list[int], list[int]]:
        """Return the sizes at which a flag is worse than False, and those at which it is better."""
        gaps = {
            size: bootstrap_interval(tf.against_false(self.tables, statistics, order, size))
            for size in self.sizes
        }
        return (
            [size for size, gap in gaps.items() if gap.low > 0],
            [size for size, gap in gaps.items() if gap.high < 0],
        )
