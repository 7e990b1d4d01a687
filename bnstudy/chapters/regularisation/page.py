"""The numbers and tables of the regularisation chapter: no number on the page is typed."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from bnstudy.analysis.chinese import chinese
from bnstudy.analysis.judged.wording import Language, in_language
from bnstudy.analysis.page import Glued
from bnstudy.analysis.statistics import bootstrap_interval
from bnstudy.analysis.tables import in_percent
from bnstudy.analysis.words import LANGUAGES, Html, Markdown, write_amount, write_effect, write_images
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.regularisation.names import NAMES
from bnstudy.chapters.regularisation.rules import (
    BASES,
    accuracy,
    gains,
    gap,
    of,
    variance_shift,
)
from bnstudy.chapters.regularisation.study import RegularisationStudy

_BOTH_ORDERS = ("batch + dropout", "dropout + batch")
_ON_TOP = [arm for arm, base in BASES.items() if base == "batch"]


class RegularisationChapter(Chapter[RegularisationStudy]):
    """What the regularisation chapter says of a study's tables."""

    @cached_property
    def fractions(self) -> dict[str, str]:
        """The amounts of data: "a tenth" is what one is called; how many images it has is a parameter."""
        return {"all": write_images(self.study.train_size), "a tenth": write_images(self.study.small_size)}

    def answer(self) -> Markdown:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        return self.own.answer(self.added(), self._setting())

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

    def shift(self) -> Markdown:
        """Return what recalibration gains each arm with dropout, beyond batch norm's own, in Markdown."""
        beyond = variance_shift(self.tables)
        lines = []
        for fraction, images in self.fractions.items():
            each = [f"{NAMES[arm]} {self._points(of(beyond, arm, fraction))}" for arm in _BOTH_ORDERS]
            lines.append(f"- {images}: {'; '.join(each)}")
        return Markdown("\n".join(lines))

    def shift_in_chinese(self) -> Html:
        """Return what ``shift`` does, for the Chinese page."""
        beyond = variance_shift(self.tables)
        lines = []
        for fraction, images in self.fractions.items():
            each = [
                f"{chinese(NAMES[arm])} 为 {self._points(of(beyond, arm, fraction), 'zh')}"
                for arm in _BOTH_ORDERS
            ]
            lines.append(f"<li>{chinese(images)}：{'；'.join(each)}</li>")
        return Html(f"<ul>{''.join(lines)}</ul>")

    def glued(self) -> dict[str, Glued]:
        """Return what other pages quote, with what the Chinese page says of the variance shift."""
        return super().glued() | {f"{self.study.name}_shift_zh": self.shift_in_chinese()}

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

    def _points(self, values: pd.Series[float], language: Language = "en") -> str:
        points = in_language(("percentage points", LANGUAGES["zh"].points), language)
        if len(values):
            return self.cite(write_effect(bootstrap_interval(values), "points", points))
        return self.cite(in_language(("not measured", "未测量"), language))

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
