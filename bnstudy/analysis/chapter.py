"""The sentences and tables of the decay chapter, filled from frames: no number on the page is typed."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bnstudy.analysis.claims import Verdict, c6_smoothing_helps, c7_large_decay_overfits
from bnstudy.analysis.decay import accuracy, difference, error_split, last_step, summary
from bnstudy.analysis.statistics import Interval, mean_interval
from bnstudy.study.decay import DecayStudy

ARTICLE_DECAY = 0.9


class DecayChapter:
    """What the decay chapter says of one evaluation table.

    The article's decay and a large one are what the verdicts contrast; where a study has other decays the
    nearest stand in for them, and the sentences name which.
    """

    def __init__(self, evaluation: pd.DataFrame, study: DecayStudy, runs: list[str]) -> None:
        self.evaluation = evaluation
        self.study = study
        self.runs = runs
        self.schedule = "constant" if "constant" in study.schedules else study.schedules[0]
        self.usual = min(study.decays, key=lambda d: (abs(d - ARTICLE_DECAY), d))
        larger = [d for d in study.decays if d > self.usual]
        # Of the larger ones, the middle: the largest has hardly left its initial value.
        self.large = larger[len(larger) // 2] if larger else None
        self.last = last_step(evaluation[evaluation["schedule"] == self.schedule])

    def c6(self) -> Verdict:
        """Return the verdict on C6."""
        return c6_smoothing_helps(self.evaluation, self.usual, self.schedule)

    def c7(self) -> Verdict | None:
        """Return the verdict on C7, or None where no decay above the usual one was run."""
        if self.large is None:
            return None
        return c7_large_decay_overfits(self.evaluation, self.large, self.usual, self.schedule)

    def glued(self) -> dict[str, str]:
        """Return what other pages quote, by name."""
        texts = {
            "decay_dataset": self.study.dataset,
            "decay_seeds": str(self.study.seeds),
            "decay_epochs": str(self.study.epochs),
            "decay_usual": f"{self.usual:g}",
            "decay_large": "none" if self.large is None else f"{self.large:g}",
        }
        for name, verdict in (("c6", self.c6()), ("c7", self.c7())):
            texts[f"{name}_verdict"] = verdict.answer if verdict else "open"
            texts[f"{name}_effect"] = (
                f"{verdict.effect.mean * 100:+.1f} percentage points" if verdict else "not measured"
            )
            texts[f"{name}_interval"] = verdict.effect.bounds(signed=True) if verdict else "not measured"
        return texts

    def answer(self) -> str:
        """Return the two sentences that answer the chapter's question, in Markdown."""
        c6, c7 = self.c6(), self.c7()
        text = f"**C6 is {c6.answer}**: {c6.rule} is {c6.effect.percent(signed=True)}, {self._setting()}."
        if c7 is None:
            return text + " **C7 is open**: no decay above the usual one was run."
        assert self.large is not None
        cost = self._contrast(
            {"statistics": "moving", "zero_debias": "none", "decay": self.large},
            {"statistics": "moving", "zero_debias": "none", "decay": self.usual},
        )
        return text + (
            f" **C7 is {c7.answer}**: {c7.rule} is {c7.effect.percent(signed=True)}, while the test accuracy "
            f"itself changes by {cost.percent(signed=True)}."
        )

    def why(self) -> str:
        """Return the explanation of the split, in Markdown."""
        lines = []
        split = last_step(error_split(self.evaluation))
        for decay in [self.usual] + ([self.large] if self.large is not None else []):
            parts = []
            for part in ("initialisation bias", "staleness", "sampling noise"):
                rows = split[
                    (split["decay"] == decay) & (split["part"] == part) & (split["schedule"] == self.schedule)
                ]
                parts.append(f"{part} {mean_interval(rows['loss_of_accuracy']).percent(signed=True)}")
            lines.append(
                f"- decay {decay:g}, {self.schedule} learning rate, accuracy lost: " + "; ".join(parts)
            )
        if {"constant", "annealed"} <= set(self.study.schedules):
            for schedule in ("constant", "annealed"):
                rows = last_step(self.evaluation[self.evaluation["schedule"] == schedule])
                lost = mean_interval(
                    difference(
                        rows,
                        {"statistics": "precise"},
                        {"statistics": "moving", "zero_debias": "none", "decay": self.usual},
                    )
                )
                lines.append(
                    f"- decay {self.usual:g}, {schedule} learning rate: "
                    f"{lost.percent(signed=True)} lost in all against precise statistics"
                )
        return "\n".join(lines)

    def table(self) -> pd.DataFrame:
        """Return test accuracy at the last step by statistics and schedule: mean [95 % interval]."""
        rows = last_step(self.evaluation[self.evaluation["split"] == "test"])
        named = rows.assign(statistics=rows.apply(_label, axis=1))
        table = summary(named, ["schedule", "statistics", "decay"], "accuracy")
        table["accuracy"] = [
            f"{100 * m:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
            for m, low, high in zip(table["mean"], table["low"], table["high"], strict=True)
        ]
        wide = table.pivot(index=["statistics", "decay"], columns="schedule", values="accuracy").reset_index()
        wide["decay"] = ["" if pd.isna(d) else f"{d:g}" for d in wide["decay"]]
        wide.columns.name = None
        return wide[["statistics", "decay", *sorted(self.study.schedules, reverse=True)]]

    def sources(self) -> str:
        """Return which records are behind the page, in Markdown."""
        return f"Records behind this page ({len(self.runs)}): " + ", ".join(f"`{run}`" for run in self.runs)

    def _contrast(self, first: dict[str, Any], second: dict[str, Any]) -> Interval:
        return mean_interval(accuracy(self.last, **first) - accuracy(self.last, **second))

    def _setting(self) -> str:
        return (
            f"with a {self.schedule} learning rate, on {self.study.dataset}, after {self.study.epochs} "
            f"epochs, over {self.study.seeds} seeds"
        )


def _label(row: pd.Series[Any]) -> str:
    if row["statistics"] == "moving":
        return "moving average" if row["zero_debias"] == "none" else "moving average, debiased"
    if row["statistics"] == "frozen":
        return "moving average, weights frozen"
    return f"{row['statistics']} statistics"
