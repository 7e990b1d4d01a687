"""The numbers and tables of the chapter on the remaining arguments: no number on the page is typed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bnstudy.analysis.amount import write_amount
from bnstudy.analysis.bootstrap import bootstrap_interval
from bnstudy.analysis.cite import Sources
from bnstudy.analysis.claims import Verdict
from bnstudy.analysis.own_study import judge_own
from bnstudy.analysis.statistics import Interval
from bnstudy.analysis.tables import Tables, in_percent
from bnstudy.analysis.words import write_effect
from bnstudy.chapters.knobs.study import KnobsStudy

# What an evaluation normalises with; the first is how the article evaluates.
STATISTICS = {
    "moving": "moving averages",
    "batch": "batch statistics",
    "precise": "precise statistics",
}


@dataclass(frozen=True)
class Contrast:
    """An arm against the arm that it differs from in one thing, and what to call the two."""

    arm: str
    base: str
    name: str
    against: str


# The article's own network has no gamma, a bias, a normalised last layer and a ReLU on its logits.
LAYER = (
    Contrast("no gamma", "gamma", "no gamma", "gamma"),
    Contrast("no gamma, linear logits", "gamma, linear logits", "no gamma,\nlinear logits", "gamma"),
    Contrast("no bias", "no gamma", "no bias", "bias"),
    Contrast("no gamma, linear logits", "no gamma", "linear logits", "ReLU on logits"),
    Contrast("last layer not normalised", "no gamma", "ReLU on logits,\nnot normalised", "normalised"),
    Contrast(
        "last layer not normalised, linear logits",
        "no gamma, linear logits",
        "linear logits,\nnot normalised",
        "normalised",
    ),
)

TINY = (
    Contrast("tiny batch, renorm", "tiny batch", "renorm", "batch norm"),
    Contrast("tiny batch, padded", "tiny batch", "padded", "not padded"),
    Contrast("tiny batch, padded, weighted", "tiny batch, padded", "weighted,\npadded", "not weighted"),
    Contrast("tiny batch, padded, weighted", "tiny batch", "weighted,\npadded", "not padded"),
)


def accuracy(tables: Tables, statistics: str = "moving", split: str = "test") -> pd.Series[float]:
    """Return accuracy at each arm's own last step, by arm, epsilon (a label, or empty) and seed."""
    evaluation = tables["evaluation"]
    chosen = evaluation[(evaluation["split"] == split) & (evaluation["statistics"] == statistics)]
    last = chosen["step"] == chosen.groupby("arm")["step"].transform("max")
    return chosen[last].set_index(["arm", "epsilon", "seed"])["accuracy"]


def of(values: pd.Series[float], arm: str, epsilon: str = "") -> pd.Series[float]:
    """Return the values of one arm by seed; none where there are none."""
    at = values.index
    chosen = values[(at.get_level_values("arm") == arm) & (at.get_level_values("epsilon") == epsilon)]
    return chosen.droplevel(["arm", "epsilon"])


def difference(values: pd.Series[float], contrast: Contrast) -> pd.Series[float]:
    """Return an arm's values minus those of its base, by seed."""
    return (of(values, contrast.arm) - of(values, contrast.base)).dropna()


def sharing(tables: Tables) -> pd.DataFrame:
    """Return by arm the second call's variables and the share of them that it shares, means over seeds."""
    columns = ["variables", "shared"]
    return tables["sharing"].groupby("arm", sort=False)[columns].mean().reset_index()


class KnobsChapter:
    """What the chapter on the remaining arguments says of a study's tables.

    A study without the default epsilon has no verdict on it. ``others`` are the other recorded studies: they
    count in Holm's correction.
    """

    def __init__(
        self,
        tables: Tables,
        study: KnobsStudy,
        runs: list[str],
        others: Mapping[str, Tables] | None = None,
    ) -> None:
        self.tables = tables
        self.study = study
        self.sources = Sources("knobs", runs)
        self._own = judge_own(self.sources, tables, others)
        self.verdicts: dict[str, Verdict] = self._own.verdicts
        self.epsilons = [f"{e:g}" for e in sorted(study.epsilons)]

    @cached_property
    def accuracies(self) -> dict[str, pd.Series[float]]:
        """Test accuracy at the end of each run, by what an evaluation normalises with."""
        return {statistics: accuracy(self.tables, statistics) for statistics in STATISTICS}

    def answer(self) -> str:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self._own.answer(self.finding(), self.changes(), self._setting())

    def finding(self) -> str:
        """Return which epsilon came out best, and how many knobs change the test accuracy, in Markdown."""
        moving = self.accuracies["moving"]
        means = {epsilon: of(moving, "epsilon", epsilon).mean() for epsilon in self.epsilons}
        best = str(pd.Series(means).idxmax())
        count = self.sources.cite(f"{len(self._changed)} of {len(LAYER) + len(TINY)}")
        return (
            f"With moving averages, the highest mean test accuracy is that of epsilon "
            f"{self.sources.cite(best)}, of {len(self.epsilons)} values from {self.epsilons[0]} to "
            f"{self.epsilons[-1]}, and a difference shows in {count} other contrasts."
        )

    def changes(self) -> str:
        """Return the contrasts that change the test accuracy, as a list in Markdown; nothing for none."""
        lines = [
            f"- {_plain(contrast)}: {self.sources.cite(write_effect(effect, 'points'))}"
            for contrast, effect in self._changed.items()
        ]
        if not lines:
            return ""
        told = "Contrasts in which it shows (each by its 95 % interval, not corrected for their number):"
        return "\n".join([told, "", *lines])

    @cached_property
    def _changed(self) -> dict[Contrast, Interval]:
        found = {}
        for contrast in (*LAYER, *TINY):
            values = difference(self.accuracies["moving"], contrast)
            effect = bootstrap_interval(values) if len(values) else Interval(0.0, math.nan, math.nan, 0)
            if effect.low > 0 or effect.high < 0:
                found[contrast] = effect
        return found

    def contrasts(self) -> pd.DataFrame:
        """Return each contrast's difference in test accuracy by statistics, with 95 % interval."""
        lines = []
        for contrast in (*LAYER, *TINY):
            line = {"contrast": _plain(contrast)}
            for statistics, name in STATISTICS.items():
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
            for statistics, name in STATISTICS.items():
                line[f"test accuracy, {name}, %"] = in_percent(of(self.accuracies[statistics], arm, epsilon))
            line["training accuracy, moving averages, %"] = in_percent(of(training, arm, epsilon))
            line["seeds"] = str(len(of(self.accuracies["moving"], arm, epsilon)))
            lines.append(line)
        return pd.DataFrame(lines)

    def _setting(self) -> str:
        amount = write_amount(self.study.train_size, self.study.epochs)
        return (
            f"Measured on {self.study.dataset}, {amount}, over {self.study.seeds} seeds; tiny "
            f"batches are of {self.study.tiny_batch} images, on {self.study.tiny_train_size:,} images."
        )


def _plain(contrast: Contrast) -> str:
    return f"{contrast.name} against {contrast.against}".replace("\n", " ")
