"""The numbers and tables of the covariate-shift chapter: no number on the page is typed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import pandas as pd

from bnstudy.analysis.judged.wording import Language, in_language
from bnstudy.analysis.page import Glued
from bnstudy.analysis.rules import Finding, Unit
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.slider import Frame
from bnstudy.analysis.statistics import bootstrap_interval, mean_interval
from bnstudy.analysis.tables import NotMeasuredError, Tables, paired, rows
from bnstudy.analysis.words import Html, Markdown, write_effect
from bnstudy.chapters.base import Chapter
from bnstudy.chapters.covariate_shift import figures
from bnstudy.chapters.covariate_shift.figures import NAMES as ARMS
from bnstudy.chapters.covariate_shift.rules import (
    accuracy,
    by_run,
    drift,
    loss_range,
    normality,
    over_seeds,
    shift,
    smoothness,
)
from bnstudy.chapters.covariate_shift.study import CovariateShiftStudy


class CovariateShiftChapter(Chapter[CovariateShiftStudy]):
    """What the covariate-shift chapter says of a study's tables.

    The verdicts compare all three arms; a study with fewer has none.
    """

    def incomplete(self) -> str:
        """Return why there are no verdicts, where an arm is lacking."""
        whole = set(self.labels("arm")) == set(ARMS)
        return "" if whole else "the verdicts compare all three arms"

    def answer(self) -> Markdown:
        """Return the sentences that answer the chapter's question, and what each rule found, in Markdown."""
        setting = (
            f"Measured {self.setting()}, in each of these trainings: {', '.join(self.labels('training'))}."
        )
        return self.own.answer(self.noisy(), self.raised(), setting, self.coverage())

    def coverage(self) -> str:
        """Return which layers with batch norm the drift and the normality leave out, in Markdown, if any.

        Every layer that owns parameters has an internal covariate shift; the others are held against those.
        """
        if self.incomplete():
            return ""
        there = _layers(rows(self.tables, "internal_covariate_shift", arm="batch"))
        gaussian = rows(self.tables, "gaussianity", arm="batch")
        gaussian = gaussian[gaussian["quantity"].str.startswith("normalised_")]
        seen = {
            "C2, *outputs drift less*": (there, _layers(rows(self.tables, "activation_drift", arm="batch"))),
            "C3": ({layer for layer in there if layer.endswith(".norm")}, _layers(gaussian)),
        }
        lacking = [
            f"{part} rests on {self.cite(len(found & wanted))} of {self.cite(len(wanted))} layers "
            f"(missing: {', '.join(sorted(wanted - found))})"
            for part, (wanted, found) in seen.items()
            if wanted - found
        ]
        return f"**Incomplete.** With batch norm, {'; '.join(lacking)}." if lacking else ""

    def noise(self) -> pd.DataFrame:
        """Return what noise does, by training: shift and accuracy of noisy batch norm against both others."""
        if self.incomplete():
            return pd.DataFrame({"training": []})
        log_shift = by_run(shift(self.tables)).map(math.log2)
        columns: list[tuple[str, pd.Series[float], Unit]] = [
            ("relative shift", log_shift, "factor"),
            ("test accuracy", accuracy(self.tables), "points"),
        ]
        lines = []
        for training in self.labels("training"):
            line = {"training": training}
            for name, values, unit in columns:
                for other in ("none", "batch"):
                    change = paired(*(over_seeds(values, arm, training) for arm in ("noisy batch", other)))
                    against = f"{name}, noisy against “{ARMS[other]}”"
                    line[against] = write_effect(bootstrap_interval(change), unit)
            lines.append(line)
        return pd.DataFrame(lines)

    def finding(self) -> str:
        """Return how far outputs move, without batch norm over with it; nothing, where an arm is lacking."""
        if self.incomplete():
            return ""
        ratio = self.cite(write_effect(bootstrap_interval(_without_over_with(drift(self.tables))), "factor"))
        return (
            f"without batch norm a step moves the convolutions' outputs {ratio} as far as with it, "
            "geometric mean over trainings, steps and layers."
        )

    def smoother(self, language: Language = "en") -> Html:
        """Return how the loss lies along the gradient without batch norm, a sentence for each measure.

        Nothing, where an arm is lacking.
        """
        if self.incomplete():
            return Html("")
        write = Writer(self.sources, language)
        ranged, constant = (
            write.factor(_without_over_with(values))
            for values in (loss_range(self.tables), smoothness(self.tables))
        )
        said = write.say(
            f"Along the gradient, the loss ranges {ranged} times as widely without batch norm as with it. "
            f"Its effective beta-smoothness is {constant} times as large. Both are geometric means over "
            "trainings and steps, with 95 % intervals over seeds (bootstrap-t).",
            f"沿梯度方向，无批归一化时损失的变化范围是有批归一化时的 {ranged} 倍，"
            f"有效 β 平滑度是有批归一化时的 {constant} 倍。两者都是各组训练和各步的几何平均，"
            "方括号内为随机种子之间的 95% 置信区间（学生化自助法）。",
        )
        return Html(f"<p>{said}</p>")

    def shape(self, language: Language = "en") -> Html:
        """Return how far normalised values are from a Gaussian at the end; nothing without batch norm."""
        if "batch" not in self.labels("arm"):
            return Html("")
        write = Writer(self.sources, language)
        distance, skewness, kurtosis = (
            write.number(normality(quantity)(self.tables))
            for quantity in ("normal_distance", "skewness", "excess_kurtosis")
        )
        said = write.say(
            f"Normalised values lie {distance} standard deviations from a standard Gaussian. Their "
            f"absolute skewness is {skewness}, and their excess kurtosis {kurtosis}; a Gaussian has 0 of "
            "each. All are means over units, layers and trainings at the last step, with 95 % intervals "
            "over seeds (bootstrap-t).",
            f"归一化后的值与标准高斯分布相距 {distance} 个标准差，偏度绝对值为 {skewness}，"
            f"超额峰度为 {kurtosis}；高斯分布的这三个量都是 0。均为最后一步各单元、各层和各组训练的平均，"
            "方括号内为随机种子之间的 95% 置信区间（学生化自助法）。",
        )
        return Html(f"<p>{said}</p>")

    def glued(self) -> dict[str, Glued]:
        """Return what other pages quote, with what the Chinese page says of smoothness and shape."""
        own: dict[str, Glued] = {
            "covariate_shift_smoother_zh": self.smoother("zh"),
            "covariate_shift_shape_zh": self.shape("zh"),
            "covariate_shift_noisy_zh": Html(self.noisy("zh")),
        }
        return super().glued() | own

    def noisy(self, language: Language = "en") -> str:
        """Return in how many trainings noisy batch norm has more shift than without and still learns more.

        Nothing, where an arm is lacking.
        """
        if self.incomplete():
            return ""
        more, better, both, _ = (self.cite(len(trainings)) for trainings in self._noisy.values())
        every = self.cite(len(self.labels("training")))
        return in_language(
            (
                f"Of {every} trainings, noisy batch norm has a larger relative shift "
                f"than the network without batch norm in {more}, a higher test accuracy in {better}, and "
                f"both at once in {both}.",
                f"{every} 组训练中，带噪声的批归一化与无批归一化相比，相对偏移更大的有 {more} 组，"
                f"测试准确率更高的有 {better} 组，两者兼有的有 {both} 组（均以 95% 置信区间为准）。",
            ),
            language,
        )

    def raised(self) -> str:
        """Return in which trainings noisy batch norm has more than the other arms, as a list in Markdown.

        Nothing, where an arm is lacking.
        """
        if self.incomplete():
            return ""
        lines = [f"- {what}: {self.how_many(trainings)}" for what, trainings in self._noisy.items()]
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
            for training in self.labels("training")
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
        for training in self.labels("training"):
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
        quantities = {
            "test accuracy": (accuracy(self.tables) * 100, 1),
            "relative shift": (by_run(shift(self.tables)), 3),
            "cosine": (by_run(shift(self.tables, "cosine")), 3),
            "drift": (by_run(drift(self.tables)), 3),
            "range of loss": (by_run(loss_range(self.tables)), 3),
            "beta-smoothness": (by_run(smoothness(self.tables)), 1),
        }
        lines = []
        for training in self.labels("training"):
            for arm in self.labels("arm"):
                line = {"training": training, "arm": ARMS[arm]}
                for name, (values, digits) in quantities.items():
                    found = mean_interval(over_seeds(values, arm, training))
                    line[name] = found.plain(digits)
                lines.append(line)
        return pd.DataFrame(lines).rename(columns={"test accuracy": "test accuracy, %"})

    def frames(self) -> Iterator[Frame]:
        """Yield one drawing a training: relative shift and cosine by layer, for the slider."""
        relative, cosine = shift(self.tables), shift(self.tables, "cosine")
        for training in self.labels("training"):
            said = [
                f"{ARMS[arm]} {over_seeds(relative, arm, training).mean():.2f} and "
                f"{over_seeds(cosine, arm, training).mean():.2f}"
                for arm in self.labels("arm")
            ]
            yield Frame(
                training,
                f"Relative shift and cosine of each convolution over training with {training}; "
                f"mean over all: {', '.join(said)}.",
                figures.shift_by_layer(relative, cosine, training),
            )

    def apart(self) -> list[float]:
        """Return how far apart the arms' relative shifts lie at each training, in doublings."""
        doublings = by_run(shift(self.tables)).map(math.log2).groupby(["training", "arm"]).mean().unstack()
        apart = doublings.max(axis="columns") - doublings.min(axis="columns")
        return apart.reindex(self.labels("training")).tolist()


def _without_over_with(values: pd.Series[float]) -> pd.Series[float]:
    """Return log2 of a quantity's geometric mean without batch norm over that with it, by seed."""
    logs = values.map(math.log2).groupby(["arm", "training", "seed"]).mean()
    without, with_norm = (logs.xs(arm, level="arm").groupby("seed").mean() for arm in ("none", "batch"))
    return paired(without, with_norm)


def _layers(table: pd.DataFrame) -> set[str]:
    """Return the short names of a table's layers: ``"conv1.norm"``."""
    return {layer.removeprefix("blocks.") for layer in table["layer"].dropna()}


def _effect(found: Finding, tables: Tables) -> str:
    try:
        return write_effect(bootstrap_interval(found.rule.measure(tables)), found.rule.unit)
    except NotMeasuredError:  # convolutions have no normalised value
        return "–"
