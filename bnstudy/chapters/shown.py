"""A block's tables, and how a chapter writes of them in one language."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bnstudy.analysis import page
from bnstudy.analysis.chinese import chinese_svg
from bnstudy.analysis.judged.wording import Language
from bnstudy.analysis.rules import Unit
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.slider import inline_svg
from bnstudy.analysis.statistics import Amount, Interval, mean_interval
from bnstudy.analysis.words import Sources, write_effect
from bnstudy.chapters.kept import frames_of
from bnstudy.records.spec import RunSpec
from bnstudy.study.frames import Frames
from bnstudy.study.run import NotRecordedError


@dataclass(frozen=True)
class Shown:
    """A block's tables, and how a page in one language writes of them."""

    frames: Frames
    chapter: str
    language: Language

    def beside(self, block: str) -> Shown | None:
        """Return what the same page can show of another block, as planned; None until it is recorded."""
        try:
            return Shown(frames_of(block, self.frames.root), self.chapter, self.language)
        except NotRecordedError:
            return None

    @cached_property
    def write(self) -> Writer:
        """Writes numbers as links to the block's records."""
        return Writer(Sources(self.chapter, self.frames.runs), self.language)

    def at(self, table: str, epoch: float) -> pd.DataFrame:
        """Return the rows of a table that were measured after so many epochs.

        Raises:
            LookupError: nothing was measured then.
        """
        rows = self.frames[table]
        step = round(epoch * self.steps_an_epoch)
        found: pd.DataFrame = rows[rows["step"] == step]
        if found.empty:
            raise LookupError(f"epoch is {epoch:g}: {table!r} has no row of step {step:,}")
        # Two looks at one step, as in a training of few steps an epoch, saw the same network.
        return found.drop_duplicates([c for c in found if c not in ("loss", "accuracy")])

    @cached_property
    def steps_an_epoch(self) -> float:
        """Optimiser steps an epoch, by the last step that was looked at and the epochs planned."""
        epochs = [int(run.spec.epochs) for run in self.frames.study.runs() if isinstance(run.spec, RunSpec)]
        # What is logged of training may be every tenth step alone, and end before the last.
        return float(self.frames["checkpoints"]["step"].max()) / max(epochs)

    @cached_property
    def phases(self) -> dict[str, float]:
        """Epochs after which a constant rate ends, and its annealing: by ``"constant"``, ``"annealed"``."""
        specs = [run.spec for run in self.frames.study.runs() if isinstance(run.spec, RunSpec)]
        end = max(spec.epochs for spec in specs)
        return {"constant": float(end - max(spec.annealed_epochs for spec in specs)), "annealed": float(end)}

    @property
    def phase_names(self) -> dict[str, str]:
        """What a table calls the phases."""
        return {
            "constant": self.write.say("constant rate", "恒定学习率"),
            "annealed": self.write.say("annealed", "退火后"),
        }

    def lost(self, values: Iterable[float]) -> str:
        """Return a mean loss of accuracy in points, with Student's interval over seeds."""
        return self.write.lost(values, mean_interval)

    def short(self, values: Iterable[float]) -> str:
        """Return a mean loss of accuracy in points by itself, ``"26.3"``; it opens to its interval."""
        found = mean_interval(values)
        return self.write.cite(Amount.of(f"{round(100 * found.mean, 1) + 0.0:.1f}", found, "points"))

    def bare(self, values: Iterable[float]) -> str:
        """Return a mean by itself, ``"0.199"``; it opens to its interval."""
        found = mean_interval(values)
        return self.write.cite(Amount.of(f"{round(found.mean, 3) + 0.0:.3f}", found, "number"))

    def times(self, logs: Interval) -> str:
        """Return 2 to the mean of binary logarithms with its interval: ``"2.14 [1.62, 2.83]"``."""
        return self.write.cite(_without_unit(logs, "factor", " ×"))

    def drawing(self, figure: Figure, name: str, text: str, caption: str) -> str:
        """Return a figure as it stands in the page, with ``text`` for who doesn't see it."""
        svg = inline_svg(figure, name, text)
        if self.language == "zh":
            svg = chinese_svg(svg)
        plt.close(figure)
        return f'<div class="drawing">{svg}<p class="drawing-caption">{caption}</p></div>'

    def seen(self, text: str) -> str:
        """Return what is to be seen in the figure above, as its second caption."""
        you_see = self.write.say("<em>You see:</em> ", "<em>你会看到：</em>")
        return f"<p>{you_see}{text}</p>"

    def table(self, rows: pd.DataFrame) -> str:
        """Return a table as HTML, which scrolls by itself; its numbers open to their values by seed."""
        return f'<div class="scrolling">{page.show(rows, self.write.sources.cite)}</div>'


def ratio(logs: Iterable[float]) -> Amount:
    """Return a table's cell: 2 to the mean of binary logarithms, ``"2.14 [1.62, 2.83]"`` (Student's t)."""
    return _without_unit(mean_interval(logs), "factor", " ×")


def in_points(values: Iterable[float]) -> Amount:
    """Return a table's cell: a mean difference of shares in points, ``"+8.1 [+6.2, +8.8]"`` (Student's t)."""
    return _without_unit(mean_interval(values), "points", " percentage points")


def _without_unit(found: Interval, unit: Unit, written: str) -> Amount:
    return Amount.of(write_effect(found, unit).replace(written, ""), found, unit)
