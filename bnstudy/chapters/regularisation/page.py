"""The numbers and tables of the regularisation chapter: no number on the page is typed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bnstudy.analysis.amount import write_amount, write_images
from bnstudy.analysis.bootstrap import bootstrap_interval
from bnstudy.analysis.cite import Sources
from bnstudy.analysis.claims import Verdict
from bnstudy.analysis.own_study import judge_own
from bnstudy.analysis.style import WITHOUT
from bnstudy.analysis.tables import Tables, in_percent
from bnstudy.analysis.words import write_effect
from bnstudy.chapters.regularisation.study import RegularisationStudy

RUN = ["arm", "fraction", "seed"]

# How the page and its figures call each arm.
NAMES = {
    "none": WITHOUT,
    "l2": "L2",
    "dropout": "dropout",
    "batch": "batch norm",
    "batch + l2": "batch norm, L2",
    "batch + dropout": "batch norm, then dropout",
    "dropout + batch": "dropout, then batch norm",
}

# Each regularised arm, and the same network without that regularisation.
BASES = {
    "l2": "none",
    "dropout": "none",
    "batch + l2": "batch",
    "batch + dropout": "batch",
    "dropout + batch": "batch",
}

_ON_TOP = [arm for arm, base in BASES.items() if base == "batch"]

NORMALISED = ("batch", "batch + l2", "batch + dropout", "dropout + batch")


def accuracy(tables: Tables, split: str = "test", statistics: str = "moving") -> pd.Series[float]:
    """Return accuracy at the end of each run, by arm, fraction and seed.

    ``statistics="moving"`` is how an evaluation goes as the article writes it, and includes networks without
    normalisation, which have no statistics. ``"precise"`` has networks with normalisation alone.
    """
    wanted = ("moving", "none") if statistics == "moving" else (statistics,)
    evaluation = tables["evaluation"]
    chosen = evaluation[(evaluation["split"] == split) & evaluation["statistics"].isin(wanted)]
    last = chosen["step"] == chosen.groupby(["arm", "fraction"])["step"].transform("max")
    return chosen[last].set_index(RUN)["accuracy"]


def gap(tables: Tables) -> pd.Series[float]:
    """Return training minus test accuracy at the end of each run, by arm, fraction and seed."""
    return (accuracy(tables, "train") - accuracy(tables)).dropna()


def gains(tables: Tables) -> pd.Series[float]:
    """Return each regularised arm's test accuracy minus that of its base, by arm, fraction and seed."""
    reached = accuracy(tables)
    differences = {arm: (_arm(reached, arm) - _arm(reached, base)).dropna() for arm, base in BASES.items()}
    return pd.concat(differences, names=["arm"])


def recalibration(tables: Tables) -> pd.Series[float]:
    """Return test accuracy with precise minus with moving statistics, by arm, fraction and seed.

    Precise statistics are measured on the training images with dropout off and the weights fixed, which Li et
    al. (2018) call recalibration.
    """
    return (accuracy(tables, statistics="precise") - accuracy(tables)).dropna()


def variance_shift(tables: Tables) -> pd.Series[float]:
    """Return what recalibration gains each arm beyond what it gains batch normalization alone.

    The moving averages of a network without dropout miss the precise statistics too, since they are stale and
    noisy; what is left is dropout's (or L2's) own. By arm, fraction and seed.
    """
    gained = recalibration(tables)
    alone = _arm(gained, "batch")
    differences = {arm: (_arm(gained, arm) - alone).dropna() for arm in NORMALISED if arm != "batch"}
    return pd.concat(differences, names=["arm"])


def of(values: pd.Series[float], arm: str, fraction: str) -> pd.Series[float]:
    """Return the values of one arm and fraction by seed; none where there are none."""
    chosen = _arm(values, arm)
    return chosen[chosen.index.get_level_values("fraction") == fraction].droplevel("fraction")


def _arm(values: pd.Series[float], arm: str) -> pd.Series[float]:
    # An arm whose runs all diverged has no values, which is no error here as it is for ``xs``.
    return values[values.index.get_level_values("arm") == arm].droplevel("arm")


class RegularisationChapter:
    """What the regularisation chapter says of a study's tables.

    ``others`` are the other recorded studies: they count in Holm's correction.
    """

    def __init__(
        self,
        tables: Tables,
        study: RegularisationStudy,
        runs: list[str],
        others: Mapping[str, Tables] | None = None,
    ) -> None:
        self.tables = tables
        self.study = study
        self.sources = Sources("regularisation", runs)
        self._own = judge_own(self.sources, tables, others)
        self.verdicts: dict[str, Verdict] = self._own.verdicts
        # "A tenth" is what it is called; how many images it has is a parameter.
        self.fractions = {"all": write_images(study.train_size), "a tenth": write_images(study.small_size)}

    def answer(self) -> str:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self._own.answer(self.finding(), self.added(), self._setting())

    def finding(self) -> str:
        """Return what the better of L2 and dropout adds to batch normalization, by the amount of data."""
        added = gains(self.tables)
        parts = []
        for fraction, images in self.fractions.items():
            measured = [values for arm in _ON_TOP if len(values := of(added, arm, fraction))]
            best = max(measured, key=lambda values: values.mean(), default=pd.Series(dtype="float64"))
            parts.append(f"{self._points(best)} with {images}")
        return (
            "On top of batch normalization, the better of L2 and dropout changes the test accuracy by "
            f"{' and by '.join(parts)}."
        )

    def added(self) -> str:
        """Return what L2 and dropout each add to batch normalization, as a list in Markdown."""
        added = gains(self.tables)
        lines = []
        for fraction, images in self.fractions.items():
            each = [f"{NAMES[arm]} {self._points(of(added, arm, fraction))}" for arm in _ON_TOP]
            lines.append(f"- {images}: {'; '.join(each)}")
        return "\n".join(["Test accuracy against batch normalization alone:", "", *lines])

    def shift(self) -> str:
        """Return what recalibration gains each arm with dropout, beyond batch norm's own, in Markdown."""
        beyond = variance_shift(self.tables)
        lines = []
        for fraction, images in self.fractions.items():
            each = [
                f"{NAMES[arm]} {self._points(of(beyond, arm, fraction))}"
                for arm in ("batch + dropout", "dropout + batch")
            ]
            lines.append(f"- {images}: {'; '.join(each)}")
        return "\n".join(lines)

    def table(self) -> pd.DataFrame:
        """Return accuracies and gap in percent by amount of data and arm: mean over seeds [95 % interval]."""
        columns = {
            "test accuracy, %": accuracy(self.tables),
            "training accuracy, %": accuracy(self.tables, "train"),
            "gap, points": gap(self.tables),
            "test accuracy, precise statistics, %": accuracy(self.tables, statistics="precise"),
        }
        lines = []
        for fraction, images in self.fractions.items():
            for arm, name in NAMES.items():
                line = {"training set": images, "arm": name}
                line |= {column: in_percent(of(values, arm, fraction)) for column, values in columns.items()}
                line["seeds"] = str(len(of(columns["test accuracy, %"], arm, fraction)))
                lines.append(line)
        return pd.DataFrame(lines)

    def _points(self, values: pd.Series[float]) -> str:
        text = write_effect(bootstrap_interval(values), "points") if len(values) else "not measured"
        return self.sources.cite(text)

    def _setting(self) -> str:
        data = " and ".join(
            (
                write_amount(self.study.train_size, self.study.epochs),
                write_amount(self.study.small_size, self.study.small_epochs),
            )
        )
        return (
            f"Measured on {self.study.dataset}, {data}, over {self.study.seeds} seeds, with an L2 penalty of "
            f"{self.study.weight_decay:g} and a dropout of {self.study.dropout:g}."
        )
