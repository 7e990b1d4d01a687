"""The sentences and tables of the convergence chapter, filled from frames: no number on the page is typed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import pandas as pd

from bnstudy.analysis.statistics import bootstrap_interval, mean_interval
from bnstudy.analysis.tables import paired, per_seed, rows
from bnstudy.analysis.words import Markdown, write_effect
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.convergence.figures import COSTS, NAMES
from bnstudy.chapters.convergence.rules import (
    TARGET,
    TIMED,
    Clock,
    best_rate,
    first_step_at,
    last_accuracy,
    seconds_per_step,
    time_to,
)
from bnstudy.chapters.convergence.study import ConvergenceStudy

# Other targets, to see what the choice of one decides.
TARGETS = (0.4, 0.5, TARGET, 0.7)


class ConvergenceChapter(Chapter[ConvergenceStudy]):
    """What the convergence chapter says of a study's tables.

    The verdicts compare both arms at their best learning rates; where an arm has none at which every seed
    came to its end, there are no verdicts.
    """

    @cached_property
    def best(self) -> dict[str, str]:
        """Each arm's best rate, on which every rule of the chapter rests; nothing where one has none."""
        return {} if self.own.lacking else {arm: best_rate(self.tables, arm) for arm in NAMES}

    def answer(self) -> Markdown:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        rates = (
            f"Adam's learning rates {', '.join(self.labels('learning_rate'))}; updates are {TIMED['batch']}"
        )
        return self.own.answer(f"Measured {self.setting()} and {rates}.")

    def finding(self) -> str:
        """Return what "computation flies" comes to in both of its readings, and who got to the target."""
        cost = self._factor(paired(*(self._log_cost(arm) for arm in ("batch", "none"))))
        text = f"A training step takes {cost} as long with batch norm as without."
        if not self.best:
            return (
                text + " No learning rate brought every seed of both arms to the end: there is no best one."
            )
        slower = [self.cite(self._bounded(self.best, TARGET, clock)) for clock, _, _ in _CLOCKS]
        reached = ", ".join(
            f"{self.cite(self._reached(arm, self.best[arm], TARGET))} of {self.cite(self.study.seeds)} "
            f"seeds {NAMES[arm]} (learning rate {self.best[arm]})"
            for arm in NAMES
        )
        return (
            f"{text} To a test accuracy of {TARGET:g}, each at its best learning rate, the network without "
            f"it takes {slower[0]} the steps and {slower[1]} the seconds; {reached} got there, "
            "and one that did not counts as if it had at its last evaluation."
        )

    def cost_table(self) -> pd.DataFrame:
        """Return what a step takes by network, and against the network without batch norm."""
        without = self._log_cost("none")
        lines = []
        for arm, name in COSTS.items():
            seconds = per_seed(rows(self.tables, "cost", arm=arm), "seconds_per_step")
            line = {
                "network": name.replace("\n", " "),
                "milliseconds a step": mean_interval(1000 * seconds).plain(),
            }
            ratio = paired(seconds.map(math.log2), without)
            line["over that without"] = (
                "–" if arm == "none" else write_effect(bootstrap_interval(ratio), "factor")
            )
            lines.append(line)
        return pd.DataFrame(lines)

    def target_table(self) -> pd.DataFrame:
        """Return steps and seconds to the target by rate and arm, and how many seeds got there."""
        lines = []
        for rate in self.labels("learning_rate"):
            for arm in NAMES:
                line = {"learning rate": rate, "arm": NAMES[arm]}
                line["seeds that got there"] = f"{self._reached(arm, rate, TARGET)} of {self.study.seeds}"
                for clock, name, digits in _CLOCKS:
                    line[name] = self._took(arm, rate, clock, digits)
                lines.append(line)
        return pd.DataFrame(lines)

    def choices(self) -> pd.DataFrame:
        """Return the speed-up at other targets and at matched learning rates: factors without over with."""
        settings = {"each at its best": self.best} if self.best else {}
        settings |= {f"both at {rate}": dict.fromkeys(NAMES, rate) for rate in self.labels("learning_rate")}
        lines = []
        for target in TARGETS:
            for setting, at in settings.items():
                line = {"target": f"{target:.0%}", "learning rate": setting}
                for clock, name, _ in _CLOCKS:
                    line[name] = self._bounded(at, target, clock)
                for arm, name in NAMES.items():
                    line[f"got there {name}"] = f"{self._reached(arm, at[arm], target)} of {self.study.seeds}"
                lines.append(line)
        return pd.DataFrame(lines)

    def table(self) -> pd.DataFrame:
        """Return test accuracy at the last step by rate and arm: mean [95 % interval], and who diverged."""
        runs = self.tables["runs"]
        lines = []
        for rate in self.labels("learning_rate"):
            for arm in NAMES:
                values = last_accuracy(self.tables, arm, rate)
                cell = runs[(runs["arm"] == arm) & (runs["learning_rate"] == rate)]
                lines.append(
                    {
                        "learning rate": rate,
                        "arm": NAMES[arm],
                        "test accuracy, %": mean_interval(100 * values).plain() if len(values) else "–",
                        "diverged": f"{cell['diverged'].sum()} of {len(cell)}",
                        "best of the arm": "yes" if self.best.get(arm) == rate else "",
                    }
                )
        return pd.DataFrame(lines)

    def _bounded(self, at: Mapping[str, str], target: float, clock: Clock) -> str:
        """Write how many times as long it takes without; a bound, where seeds of one arm never got there.

        Where seeds of both never did, their ratio is bounded by nothing.
        """
        short = {arm for arm in NAMES if self._reached(arm, at[arm], target) < self.study.seeds}
        if short == set(NAMES):
            return "not known"
        word = {"none": "at least ", "batch": "at most "}[short.pop()] if short else ""
        return word + write_effect(bootstrap_interval(self._slower(at, target, clock)), "factor")

    def _took(self, arm: str, rate: str, clock: Clock, digits: int) -> str:
        """Write the mean time to the target; a bound without an interval, where a seed never got there."""
        took = mean_interval(time_to(self.tables, arm, rate, TARGET, clock))
        reached = self._reached(arm, rate, TARGET)
        if reached == self.study.seeds:
            return took.plain(digits)
        return f"{'at least' if reached else '>'} {took.mean:.{digits}f}"

    def _slower(self, at: Mapping[str, str], target: float, clock: Clock) -> pd.Series[float]:
        without, with_norm = (
            time_to(self.tables, arm, at[arm], target, clock).map(math.log2) for arm in ("none", "batch")
        )
        return paired(without, with_norm)

    def _reached(self, arm: str, rate: str, target: float) -> int:
        return int(first_step_at(self.tables, arm, rate, target).notna().sum())

    def _log_cost(self, arm: str) -> pd.Series[float]:
        return seconds_per_step(self.tables, arm).map(math.log2)

    def _factor(self, values: pd.Series[float]) -> str:
        return self.cite(write_effect(bootstrap_interval(values), "factor"))


_CLOCKS: tuple[tuple[Clock, str, int], ...] = (("step", "steps", 0), ("seconds", "seconds", 1))
