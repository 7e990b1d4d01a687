"""The numbers and tables of the chapter on the remaining arguments: no number on the page is typed."""

from __future__ import annotations

import math
from functools import cached_property

import pandas as pd

from bnstudy.analysis.statistics import Interval, bootstrap_interval
from bnstudy.analysis.tables import in_percent, paired
from bnstudy.analysis.words import Markdown, write_effect
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.knobs.figures import SHOWN
from bnstudy.chapters.knobs.rules import (
    LAYER,
    TINY,
    Contrast,
    accuracy,
    difference,
    of,
    sharing,
)
from bnstudy.chapters.knobs.study import KnobsStudy

# The arm that is the article's network, and what an evaluation of trained networks normalises with.
ARTICLE = "no gamma"
COMPARED = ("precise", "moving")


class KnobsChapter(Chapter[KnobsStudy]):
    """What the chapter on the remaining arguments says of a study's tables.

    A study without the default epsilon has no verdict on it.
    """

    @cached_property
    def epsilons(self) -> list[str]:
        """The labels of the values of epsilon."""
        return [f"{e:g}" for e in sorted(self.study.epsilons)]

    @cached_property
    def accuracies(self) -> dict[str, pd.Series[float]]:
        """Test accuracy at the end of each run, by what an evaluation normalises with."""
        return {statistics: accuracy(self.tables, statistics) for statistics in SHOWN}

    def answer(self) -> Markdown:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self.own.answer(self.changes(), self._setting())

    def finding(self) -> str:
        """Return what precise statistics show of epsilon and of the other knobs, and what averages do."""
        gained = paired(*(of(self.accuracies[statistics], ARTICLE) for statistics in COMPARED))
        told = write_effect(bootstrap_interval(gained), "points") if len(gained) else "–"
        spans = [self.cite(f"{100 * self._span(statistics):.1f}") for statistics in COMPARED]
        counts = [self.cite(f"{len(self._changed[s])} of {len(LAYER) + len(TINY)}") for s in COMPARED]
        return (
            f"With precise statistics, the mean test accuracies of {len(self.epsilons)} values of epsilon, "
            f"from {self.epsilons[0]} to {self.epsilons[-1]}, span {spans[0]} points, with moving averages "
            f"{spans[1]}. For the article's network precise statistics change the accuracy by "
            f"{self.cite(told)} against moving averages. A difference shows in {counts[0]} other contrasts "
            f"with precise statistics, and in {counts[1]} with moving averages."
        )

    def _span(self, statistics: str) -> float:
        """Return the highest less the lowest mean accuracy of the values of epsilon."""
        means = [of(self.accuracies[statistics], "epsilon", epsilon).mean() for epsilon in self.epsilons]
        return float(max(means) - min(means))

    def changes(self) -> str:
        """Return the contrasts that change the test accuracy, as a list in Markdown; nothing for none."""
        lines = [
            f"- with {SHOWN[statistics]}, {_plain(contrast)}: {self.cite(write_effect(effect, 'points'))}"
            for statistics in COMPARED
            for contrast, effect in self._changed[statistics].items()
        ]
        if not lines:
            return ""
        told = "Contrasts in which it shows (each by its 95 % interval, not corrected for their number):"
        return "\n".join([told, "", *lines])

    @cached_property
    def _changed(self) -> dict[str, dict[Contrast, Interval]]:
        """What changes the test accuracy, by what an evaluation normalises with."""
        found: dict[str, dict[Contrast, Interval]] = {statistics: {} for statistics in COMPARED}
        for statistics in COMPARED:
            for contrast in (*LAYER, *TINY):
                values = difference(self.accuracies[statistics], contrast)
                effect = bootstrap_interval(values) if len(values) else Interval(0.0, math.nan, math.nan, 0)
                if effect.low > 0 or effect.high < 0:
                    found[statistics][contrast] = effect
        return found

    def contrasts(self) -> pd.DataFrame:
        """Return each contrast's difference in test accuracy by statistics, with 95 % interval."""
        lines = []
        for contrast in (*LAYER, *TINY):
            line = {"contrast": _plain(contrast)}
            for statistics, name in SHOWN.items():
                values = difference(self.accuracies[statistics], contrast)
                line[name] = write_effect(bootstrap_interval(values), "points") if len(values) else "–"
            lines.append(line)
        return pd.DataFrame(lines)

    def sharing(self) -> pd.DataFrame:
        """Return what two calls have in common, with reuse and without."""
        table = sharing(self.tables)
        return pd.DataFrame(
            {
                "second call": table["arm"],
                "its variables": [f"{count:g}" for count in table["variables"]],
                "of them the first call's": [f"{100 * share:g} %" for share in table["shared"]],
            }
        )

    def table(self) -> pd.DataFrame:
        """Return accuracies in percent by arm: mean over seeds [95 % interval]."""
        training = accuracy(self.tables, "moving", "train")
        arms = [("epsilon", epsilon) for epsilon in self.epsilons]
        named = dict.fromkeys(labels["arm"] for labels, _ in self.study.variants())
        arms += [(arm, "") for arm in named if arm != "epsilon"]
        lines = []
        for arm, epsilon in arms:
            line = {"arm": f"{arm} {epsilon}".strip()}
            for statistics, name in SHOWN.items():
                line[f"test accuracy, {name}, %"] = in_percent(of(self.accuracies[statistics], arm, epsilon))
            line["training accuracy, moving averages, %"] = in_percent(of(training, arm, epsilon))
            line["seeds"] = str(len(of(self.accuracies["moving"], arm, epsilon)))
            lines.append(line)
        return pd.DataFrame(lines)

    def _setting(self) -> str:
        return (
            f"Measured {self.setting()}; tiny "
            f"batches are of {self.study.tiny_batch} images, on {self.study.tiny_train_size:,} images."
        )


def _plain(contrast: Contrast) -> str:
    return f"{contrast.name} against {contrast.against}".replace("\n", " ")
