"""The sentences and tables of the decay chapter, filled from frames: no number on the page is typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from bnstudy.analysis.amount import write_amount
from bnstudy.analysis.cite import Sources
from bnstudy.analysis.claims import CLAIMS, Claim, Finding, Verdict, judge
from bnstudy.analysis.claims.averages import overfitting, smoothing
from bnstudy.analysis.slider import Frame
from bnstudy.analysis.statistics import Interval, mean_interval
from bnstudy.analysis.tables import Tables, last_step, summary
from bnstudy.analysis.words import write_effect
from bnstudy.chapters.decay import figures
from bnstudy.chapters.decay.rules import accuracy, difference, error_split, statistics_name
from bnstudy.chapters.decay.study import DecayStudy

ARTICLE_DECAY = 0.9


class DecayChapter:
    """What the decay chapter says of one evaluation table.

    The article's decay and a large one are what the verdicts contrast; where a study has other decays the
    nearest stand in for them, and the sentences name which. ``others`` are the other recorded studies: they
    count in Holm's correction.
    """

    def __init__(
        self,
        evaluation: pd.DataFrame,
        study: DecayStudy,
        runs: list[str],
        others: Mapping[str, Tables] | None = None,
    ) -> None:
        self.evaluation = evaluation
        self.study = study
        self.sources = Sources("decay", runs)
        self.schedule = "constant" if "constant" in study.schedules else study.schedules[0]
        self.usual = min(study.decays, key=lambda d: (abs(d - ARTICLE_DECAY), d))
        larger = [d for d in study.decays if d > self.usual]
        # Of the larger ones, the middle: the largest has hardly left its initial value.
        self.large = larger[len(larger) // 2] if larger else None
        self.last = last_step(evaluation[evaluation["schedule"] == self.schedule])
        tables = {**(others or {}), "decay": {"evaluation": evaluation}}
        verdicts = judge([self._as_run(claim) for claim in CLAIMS], tables)
        self.verdicts: dict[str, Verdict] = {name: verdicts[name] for name in ("C6", "C7")}

    def _as_run(self, claim: Claim) -> Claim:
        """Return a claim with its rule about the decays and the schedule that this study has."""
        if claim.id == "C6":
            return replace(claim, rules=(smoothing(self.usual, self.schedule),))
        if claim.id == "C7":
            # Without a larger decay there is nothing to contrast, and a study of that name isn't recorded.
            rule = overfitting(self.large or self.usual, self.usual, self.schedule)
            return replace(claim, rules=(rule if self.large else replace(rule, study="a larger decay"),))
        return claim

    def answer(self) -> str:
        """Return the two sentences that answer the chapter's question, in Markdown."""
        (c6,) = self.verdicts["C6"].findings
        text = (
            f"**C6 is {c6.answer}**: {c6.rule.quantity} changes by {self._effect(c6)} from each test batch's "
            f"own statistics to moving averages of decay {self.usual:g}, {self._setting()}."
        )
        if self.large is None:
            return text + " **C7 is not measured**: no decay above the usual one was run."
        (c7,) = self.verdicts["C7"].findings
        plain = {"statistics": "moving", "zero_debias": "none"}
        cost = mean_interval(
            accuracy(self.last, decay=self.large, **plain) - accuracy(self.last, decay=self.usual, **plain)
        )
        return text + (
            f" **C7 is {c7.answer}**: {c7.rule.quantity} changes by {self._effect(c7)} from decay "
            f"{self.usual:g} to decay {self.large:g}, while the test accuracy itself changes by "
            f"{self._percent(cost)}."
        )

    def why(self) -> str:
        """Return the explanation of the split, in Markdown."""
        lines = []
        split = last_step(error_split(self.evaluation))
        smaller = sorted(d for d in self.study.decays if d < self.usual)[:1]
        for decay in [*smaller, self.usual, *([self.large] if self.large is not None else [])]:
            parts = []
            for part in ("initialisation bias", "staleness", "sampling noise"):
                rows = split[
                    (split["decay"] == decay) & (split["part"] == part) & (split["schedule"] == self.schedule)
                ]
                parts.append(f"{part} {self._percent(mean_interval(rows['loss_of_accuracy']))}")
            lines.append(
                f"- decay {decay:g}, {self.schedule} learning rate, accuracy lost: " + "; ".join(parts)
            )
        if {"constant", "annealed"} <= set(self.study.schedules):
            for schedule in ("constant", "annealed"):
                rows = last_step(self.evaluation[self.evaluation["schedule"] == schedule])
                plain = {"statistics": "moving", "zero_debias": "none", "decay": self.usual}
                lost = mean_interval(difference(rows, {"statistics": "precise"}, plain))
                lines.append(
                    f"- decay {self.usual:g}, {schedule} learning rate: "
                    f"{self._percent(lost)} lost in all against precise statistics"
                )
        return "\n".join(lines)

    def frames(self) -> Iterator[Frame]:
        """Yield one drawing a recorded step: accuracy by decay, for the slider over training."""
        test = self.evaluation[
            (self.evaluation["split"] == "test") & (self.evaluation["schedule"] == self.schedule)
        ]
        for step in sorted(test["step"].unique()):
            now = test[test["step"] == step]
            said = []
            for decay in self.study.decays:
                plain = accuracy(now, statistics="moving", zero_debias="none", decay=decay)
                said.append(f"decay {decay:g} {100 * plain.mean():.1f} %")
            for statistics in ("batch", "precise"):
                said.append(
                    f"{statistics} statistics {100 * accuracy(now, statistics=statistics).mean():.1f} %"
                )
            yield Frame(
                f"step {step:,}",
                f"Test accuracy after {step:,} training steps: {', '.join(said)}.",
                figures.accuracy_by_decay(self.evaluation, self.schedule, int(step)),
            )

    def table(self) -> pd.DataFrame:
        """Return test accuracy at the last step by statistics and schedule: mean [95 % interval]."""
        rows = last_step(self.evaluation[self.evaluation["split"] == "test"])
        named = rows.assign(statistics=rows.apply(statistics_name, axis=1))
        table = summary(named, ["schedule", "statistics", "decay"], "accuracy")
        table["accuracy"] = [
            f"{100 * m:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
            for m, low, high in zip(table["mean"], table["low"], table["high"], strict=True)
        ]
        wide = table.pivot(index=["statistics", "decay"], columns="schedule", values="accuracy").reset_index()
        wide["decay"] = ["" if pd.isna(d) else f"{d:g}" for d in wide["decay"]]
        wide.columns.name = None
        return wide[["statistics", "decay", *sorted(self.study.schedules, reverse=True)]]

    def _effect(self, finding: Finding) -> str:
        return self.sources.cite(write_effect(finding.effect, finding.rule.unit))

    def _percent(self, interval: Interval) -> str:
        return self.sources.cite(interval.percent(signed=True))

    def _setting(self) -> str:
        return (
            f"with a {self.schedule} learning rate, on {self.study.dataset}, "
            f"{write_amount(self.study.train_size, self.study.epochs)}, over {self.study.seeds} seeds"
        )
