"""The numbers and tables of the covariate-shift chapter: no number on the page is typed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bnstudy.analysis.amount import write_amount
from bnstudy.analysis.bootstrap import bootstrap_interval
from bnstudy.analysis.cite import Sources
from bnstudy.analysis.claims import Finding, NotMeasuredError, Verdict
from bnstudy.analysis.own_study import judge_own
from bnstudy.analysis.rules import Unit
from bnstudy.analysis.slider import Frame
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.tables import Tables, last_step, paired, rows
from bnstudy.analysis.words import write_effect
from bnstudy.chapters.covariate_shift import figures
from bnstudy.chapters.covariate_shift.figures import NAMES as ARMS
from bnstudy.chapters.covariate_shift.study import CovariateShiftStudy

RUN = ["arm", "training", "seed"]


def convolutions(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of convolutions, which every arm has, with a layer's short name: ``"conv1"``."""
    chosen = table[table["layer"].str.endswith(".conv", na=False)]
    return chosen.assign(layer=chosen["layer"].str.split(".").str[-2])


def measured(table: pd.DataFrame, quantity: str) -> pd.Series[float]:
    """Return the values of one quantity by arm, training, seed, step and layer."""
    chosen = table[table["quantity"] == quantity]
    return chosen.set_index([*RUN, "step", "layer"])["value"]


def shift(tables: Tables, quantity: str = "ics_relative") -> pd.Series[float]:
    """Return the shift of the convolutions behind the first, whose shift is 0 by definition."""
    values = measured(convolutions(tables["internal_covariate_shift"]), quantity)
    layers = values.index.get_level_values("layer")
    behind: pd.Series[float] = values[layers != layers.min()]
    return behind


def drift(tables: Tables) -> pd.Series[float]:
    """Return how far a step moves the convolutions' outputs, in standard deviations of theirs."""
    table = convolutions(tables["activation_drift"])
    return measured(table, "output_wasserstein") / measured(table, "output_std")


def loss_range(tables: Tables) -> pd.Series[float]:
    """Return the largest less the smallest loss along the gradient, in nats."""
    table = tables["gradient_predictiveness"]
    return measured(table, "loss_max") - measured(table, "loss_min")


def smoothness(tables: Tables) -> pd.Series[float]:
    """Return the effective beta-smoothness along the gradient."""
    return measured(tables["gradient_predictiveness"], "beta_smoothness")


def learning_curve(tables: Tables) -> pd.Series[float]:
    """Return the training loss at each probed step, as the mean since the one before."""
    steps = sorted(tables["gradient_predictiveness"]["step"].unique())
    training = tables["training"]
    edges = np.array(steps)[np.searchsorted(steps, training["step"].clip(upper=steps[-1]))]
    by_step = [*RUN, pd.Series(edges, training.index, name="step")]
    return training.groupby(by_step, sort=False)["loss"].mean()


def accuracy(tables: Tables) -> pd.Series[float]:
    """Return test accuracy at the end of each run, normalised by each test batch's own statistics."""
    return last_step(rows(tables, "evaluation", split="test")).set_index(RUN)["accuracy"]


def by_run(values: pd.Series[float]) -> pd.Series[float]:
    """Return the mean over steps and layers of each run."""
    return values.groupby(RUN, sort=False).mean()


def over_seeds(values: pd.Series[float], arm: str, training: str) -> pd.Series[float]:
    """Return the values of one arm and training by seed."""
    chosen: pd.Series[float] = values.xs((arm, training), level=("arm", "training"))
    return chosen


@dataclass(frozen=True)
class _Quantity:
    """A column of the chapter's tables: its name, its values by run, and how a mean is written."""

    name: str
    values: pd.Series[float]
    write: str


class CovariateShiftChapter:
    """What the covariate-shift chapter says of a study's tables.

    The verdicts compare all three arms; a study with fewer has none. ``others`` are the other
    recorded studies: they count in Holm's correction.
    """

    def __init__(
        self,
        tables: Tables,
        study: CovariateShiftStudy,
        runs: list[str],
        others: Mapping[str, Tables] | None = None,
    ) -> None:
        self.tables = tables
        self.study = study
        self.sources = Sources("covariate_shift", runs)
        self.trainings = list(study.axes()["training"])
        self._complete = set(study.axes()["arm"]) == set(ARMS)
        incomplete = "" if self._complete else "the verdicts compare all three arms"
        self._own = judge_own(self.sources, tables, others, incomplete=incomplete)
        self.verdicts: dict[str, Verdict] = self._own.verdicts

    def glued(self) -> dict[str, Verdict]:
        """Return the verdicts that this chapter gives to the front pages: C1 has a study besides."""
        return {name: self.verdicts[name] for name in ("C2", "C3")}

    def answer(self) -> str:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        more = (self.raised(), f"Measured {self._setting()}.", self.coverage())
        return self._own.answer(self.finding(), *more)

    def coverage(self) -> str:
        """Return which layers with batch norm the drift and the normality leave out, in Markdown, if any.

        Every layer that owns parameters has an internal covariate shift; the others are held against those.
        """
        if not self._complete:
            return ""
        there = _layers(rows(self.tables, "internal_covariate_shift", arm="batch"))
        gaussian = rows(self.tables, "gaussianity", arm="batch")
        gaussian = gaussian[gaussian["quantity"].str.startswith("normalised_")]
        seen = {
            "C2, *outputs drift less*": (there, _layers(rows(self.tables, "activation_drift", arm="batch"))),
            "C3": ({layer for layer in there if layer.endswith(".norm")}, _layers(gaussian)),
        }
        lacking = [
            f"{part} rests on {self._cite(len(found & wanted))} of {self._cite(len(wanted))} layers "
            f"(missing: {', '.join(sorted(wanted - found))})"
            for part, (wanted, found) in seen.items()
            if wanted - found
        ]
        return f"**Incomplete.** With batch norm, {'; '.join(lacking)}." if lacking else ""

    def noise(self) -> pd.DataFrame:
        """Return what noise does, by training: shift and accuracy of noisy batch norm against both others."""
        if not self._complete:
            return pd.DataFrame({"training": []})
        log_shift = by_run(shift(self.tables)).map(math.log2)
        columns: list[tuple[str, pd.Series[float], Unit]] = [
            ("relative shift", log_shift, "factor"),
            ("test accuracy", accuracy(self.tables), "points"),
        ]
        lines = []
        for training in self.trainings:
            line = {"training": training}
            for name, values, unit in columns:
                for other in ("none", "batch"):
                    change = paired(*(over_seeds(values, arm, training) for arm in ("noisy batch", other)))
                    against = f"{name}, noisy against “{ARMS[other]}”"
                    line[against] = write_effect(bootstrap_interval(change), unit)
            lines.append(line)
        return pd.DataFrame(lines)

    def finding(self) -> str:
        """Return in how many trainings noisy batch norm has more shift than without and still learns more.

        Nothing, where an arm is lacking.
        """
        if not self._complete:
            return ""
        more, better, both, _ = (self._cite(len(trainings)) for trainings in self._noisy.values())
        return (
            f"Of {self._cite(len(self.trainings))} trainings, noisy batch norm has a larger relative shift "
            f"than the network without batch norm in {more}, a higher test accuracy in {better}, and both at "
            f"once in {both}."
        )

    def raised(self) -> str:
        """Return in which trainings noisy batch norm has more than the other arms, as a list in Markdown.

        Nothing, where an arm is lacking.
        """
        if not self._complete:
            return ""
        lines = [f"- {what}: {self._named(trainings)}" for what, trainings in self._noisy.items()]
        return "\n".join(["Trainings in which noisy batch norm has (each by its 95 % interval):", "", *lines])

    @cached_property
    def _noisy(self) -> dict[str, list[str]]:
        log_shift, reached = by_run(shift(self.tables)).map(math.log2), accuracy(self.tables)
        more, better = self._raised(log_shift, "none"), self._raised(reached, "none")
        return {
            "a larger relative shift than the network without batch norm": more,
            "a higher test accuracy than the network without batch norm": better,
            "both at once": [training for training in more if training in better],
            "a larger relative shift than batch norm without noise": self._raised(log_shift, "batch"),
        }

    def _raised(self, values: pd.Series[float], other: str) -> list[str]:
        """Return the trainings in which noisy batch norm has larger values than another arm."""
        return [
            training
            for training in self.trainings
            if bootstrap_interval(
                paired(*(over_seeds(values, arm, training) for arm in ("noisy batch", other)))
            ).low
            > 0
        ]

    def choices(self) -> pd.DataFrame:
        """Return the rules' effects under other choices: convolutions alone, and each training by itself."""
        whole_network = {
            name: table[table["layer"].isna() | table["layer"].str.endswith(".conv", na=False)]
            for name, table in self.tables.items()
            if "layer" in table
        }
        choices = {"as judged": self.tables, "convolutions alone": {**self.tables, **whole_network}}
        for training in self.trainings:
            choices[training] = {
                name: table[table["training"] == training] for name, table in self.tables.items()
            }
        lines = []
        for choice, tables in choices.items():
            line = {"choice": choice}
            for claim, verdict in self.verdicts.items():
                for found in verdict.findings:
                    if found.rule.study == self.study.name:
                        line[f"{claim}: {found.rule.part}"] = _effect(found, tables)
            lines.append(line)
        return pd.DataFrame(lines)

    def table(self) -> pd.DataFrame:
        """Return every quantity by training and arm: mean over seeds [95 % interval]."""
        quantities = [
            _Quantity("test accuracy", accuracy(self.tables) * 100, "{:.1f}"),
            _Quantity("relative shift", by_run(shift(self.tables)), "{:.3f}"),
            _Quantity("cosine", by_run(shift(self.tables, "cosine")), "{:.3f}"),
            _Quantity("drift", by_run(drift(self.tables)), "{:.3f}"),
            _Quantity("range of loss", by_run(loss_range(self.tables)), "{:.3f}"),
            _Quantity("beta-smoothness", by_run(smoothness(self.tables)), "{:.1f}"),
        ]
        lines = []
        for training in self.trainings:
            for arm in self.study.axes()["arm"]:
                line = {"training": training, "arm": ARMS[arm]}
                for quantity in quantities:
                    interval = mean_interval(over_seeds(quantity.values, arm, training))
                    mean, low, high = map(quantity.write.format, (interval.mean, interval.low, interval.high))
                    line[quantity.name] = f"{mean} [{low}, {high}]"
                lines.append(line)
        return pd.DataFrame(lines).rename(columns={"test accuracy": "test accuracy, %"})

    def frames(self) -> Iterator[Frame]:
        """Yield one drawing a training: relative shift and cosine by layer, for the slider."""
        relative, cosine = shift(self.tables), shift(self.tables, "cosine")
        for training in self.trainings:
            said = [
                f"{ARMS[arm]} {over_seeds(relative, arm, training).mean():.2f} and "
                f"{over_seeds(cosine, arm, training).mean():.2f}"
                for arm in self.study.axes()["arm"]
            ]
            yield Frame(
                training,
                f"Relative shift and cosine of each convolution over training with {training}; "
                f"mean over all: {', '.join(said)}.",
                figures.shift_by_layer(relative, cosine, training),
            )

    def _named(self, trainings: list[str]) -> str:
        named = f" ({', '.join(trainings)})" if trainings else ""
        return f"{self._cite(len(trainings))}{named}"

    def _cite(self, value: object) -> str:
        return self.sources.cite(str(value))

    def _setting(self) -> str:
        return (
            f"on {self.study.dataset}, {write_amount(self.study.train_size, self.study.epochs)}, over "
            f"{self.study.seeds} seeds, in each of these trainings: "
            f"{', '.join(self.trainings)}"
        )


def _layers(table: pd.DataFrame) -> set[str]:
    """Return the short names of a table's layers: ``"conv1.norm"``."""
    return {layer.removeprefix("blocks.") for layer in table["layer"].dropna()}


def _effect(found: Finding, tables: Tables) -> str:
    try:
        return write_effect(bootstrap_interval(found.rule.measure(tables)), found.rule.unit)
    except NotMeasuredError:  # convolutions have no normalised value
        return "–"
