"""The sentences and tables of the decay chapter, filled from frames: no number on the page is typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import pandas as pd

from bnstudy.analysis.rules import Claim, Finding
from bnstudy.analysis.slider import Frame
from bnstudy.analysis.statistics import Interval, mean_interval
from bnstudy.analysis.tables import last_step, summary
from bnstudy.analysis.words import Html, Markdown, write_effect
from bnstudy.chapters.asking import answerable
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.decay import asked, figures
from bnstudy.chapters.decay.rules import (
    accuracy,
    difference,
    error_split,
    overfitting,
    smoothing,
    statistics_name,
)
from bnstudy.chapters.decay.study import DecayStudy

ARTICLE_DECAY = 0.9


class DecayChapter(Chapter[DecayStudy]):
    """What the decay chapter says of a study's tables.

    The article's decay and a large one are what the verdicts contrast; where a study has other decays the
    nearest stand in for them, and the sentences name which.
    """

    @cached_property
    def evaluation(self) -> pd.DataFrame:
        """How each trajectory does with each choice of statistics, along training."""
        return self.tables["evaluation"]

    @cached_property
    def schedule(self) -> str:
        """The learning rate's schedule that the verdicts look at."""
        return "constant" if "constant" in self.study.schedules else self.study.schedules[0]

    @cached_property
    def usual(self) -> float:
        """The decay nearest to the article's."""
        return min(self.study.decays, key=lambda d: (abs(d - ARTICLE_DECAY), d))

    @cached_property
    def large(self) -> float | None:
        """The middle one of the larger decays, if any: the largest has hardly left its initial value."""
        larger = [d for d in self.study.decays if d > self.usual]
        return larger[len(larger) // 2] if larger else None

    @cached_property
    def last(self) -> pd.DataFrame:
        """The evaluations at the last step."""
        return last_step(self.evaluation[self.evaluation["schedule"] == self.schedule])

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims, C6 and C7 with rules about the decays and the schedule that this study has."""
        return tuple(self._as_run(claim) for claim in super().claims())

    def _as_run(self, claim: Claim) -> Claim:
        if claim.id == "C6":
            return replace(claim, rules=(smoothing(self.usual, self.schedule),))
        if claim.id == "C7":
            # Without a larger decay there is nothing to contrast, and a study of that name isn't recorded.
            rule = overfitting(self.large or self.usual, self.usual, self.schedule)
            return replace(claim, rules=(rule if self.large else replace(rule, study="a larger decay"),))
        return claim

    def answer(self) -> Markdown:
        """Return the two sentences that answer the chapter's question, in Markdown."""
        (c6,) = self.verdicts["C6"].findings
        text = (
            f"**C6 is {c6.answer}**: {c6.rule.quantity} changes by {self._effect(c6)} from each test batch's "
            f"own statistics to moving averages of decay {self.usual:g}, with a {self.schedule} learning "
            f"rate, {self.setting()}."
        )
        if self.large is None:
            without = "**C7 is not measured**: no decay above the usual one was run."
            return Markdown(self.own.folded(f"{text} {without}"))
        (c7,) = self.verdicts["C7"].findings
        plain = {"statistics": "moving", "zero_debias": "none"}
        cost = mean_interval(
            accuracy(self.last, decay=self.large, **plain) - accuracy(self.last, decay=self.usual, **plain)
        )
        return Markdown(
            self.own.folded(
                f"{text} **C7 is {c7.answer}**: {c7.rule.quantity} changes by {self._effect(c7)} from decay "
                f"{self.usual:g} to decay {self.large:g}, while the test accuracy itself changes by "
                f"{self._percent(cost)}."
            )
        )

    def finding(self) -> str:
        """Return the test accuracy of each decay at the last step, under the schedule of the verdicts."""
        test = self.last[self.last["split"] == "test"]
        said = []
        for decay in self.study.decays:
            plain = accuracy(test, statistics="moving", zero_debias="none", decay=decay)
            said.append(f"decay {decay:g} ends at {self.cite(mean_interval(plain).percent())}")
        return f"with a {self.schedule} learning rate and the same weights, {', '.join(said)}."

    def why(self) -> Markdown:
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
        return Markdown("\n".join(lines))

    def frames(self) -> Iterator[Frame]:
        """Yield one drawing a recorded step: accuracy by decay, for the slider over training."""
        test = self._along_training
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
                f"Test accuracy after training step {step:,}: {', '.join(said)}.",
                figures.accuracy_by_decay(self.evaluation, self.schedule, int(step)),
            )

    def apart(self) -> list[float]:
        """Return by how much the best decay's mean accuracy is above the worst's, at each recorded step."""
        test = self._along_training
        plain = test[(test["statistics"] == "moving") & (test["zero_debias"] == "none")]
        reached = plain.pivot_table("accuracy", "step", "decay")
        return (reached.max(axis="columns") - reached.min(axis="columns")).tolist()

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

    def again(self, **changes: Any) -> Markdown:
        """Return commands that run the chapter again; new decays may need no training."""
        _, unrecorded = answerable(self.study.name, {**changes, "data_dir": str(self._frames().root)})
        if unrecorded is None:
            return super().again(**changes)
        decays = ", ".join(f"{decay:g}" for decay in unrecorded.decays)
        return self.commands(
            changes,
            f"answers decay {decays} from snapshots of the recorded study `{unrecorded.study.name}`, without "
            "training; `bnstudy run decay --set` with the same decays trains this page's own runs for it",
        )

    def other_decays(self) -> Html | Markdown:
        """Return what snapshots answered of the decays that this study hasn't recorded, or how to ask."""
        if self.asked is None:
            return Markdown("Every decay that was asked of this page is recorded, and shown above.")
        return asked.shown(self.asked, self.study.name)

    @property
    def _along_training(self) -> pd.DataFrame:
        """The test evaluations under the schedule of the verdicts."""
        of_schedule = self.evaluation["schedule"] == self.schedule
        return self.evaluation[(self.evaluation["split"] == "test") & of_schedule]

    def _effect(self, finding: Finding) -> str:
        return self.cite(write_effect(finding.effect, finding.rule.unit))

    def _percent(self, interval: Interval) -> str:
        return self.cite(interval.percent(signed=True))
