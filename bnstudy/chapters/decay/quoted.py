"""The numbers that the translated decay page quotes, in each language's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from bnstudy.analysis.page import Glued
from bnstudy.analysis.tables import NotMeasuredError, Tables, last_step, paired, rows
from bnstudy.analysis.words import LANGUAGES, Cited, Html
from bnstudy.chapters.decay.rules import PARTS, accuracy

PLAIN = {"statistics": "moving", "zero_debias": "none"}
# What the parts of the loss are called, and what each remedy wins back, in both languages.
SHORT = {"initialisation bias": "bias", "staleness": "staleness", "sampling noise": "noise"}
CHINESE = {"initialisation bias": "初始偏差", "staleness": "滞后", "sampling noise": "采样噪声"}


def quoted(chapter: Any) -> dict[str, Glued]:
    """Return them by name, those with words once for each language that the book is translated into.

    ``decay_smallest``, ``decay_usual`` and ``decay_large`` are the decays that the others are about:
    ``decay_cost_zh`` is the test accuracy at the large one minus that at the usual one,
    ``decay_large_bias_zh`` and so on what each remedy wins back at the last step, and
    ``decay_lost_annealed_zh`` what the usual one loses against precise statistics with that schedule. What
    the study lacks is a dash.
    """
    decays = {
        "smallest": min(chapter.study.decays),
        "usual": chapter.usual,
        "large": chapter.large,
    }
    called = {name: "–" if decay is None else f"{decay:g}" for name, decay in decays.items()}
    found: dict[str, Glued] = {f"decay_{name}": Html(said) for name, said in called.items()}
    for language, words in LANGUAGES.items():
        if language == "en":
            continue

        def number(measure: _Measure, english: str, chinese: str, points: str = words.points) -> Cited:
            try:
                formula = (english, chinese)
                contrast = english.rpartition(", ")[2]
                cited: Cited = chapter.measured(measure, formula=formula, contrast=contrast, points=points)
                return cited
            except NotMeasuredError:
                return Cited("–", chapter.sources)

        found[f"decay_cost_{language}"] = number(
            _gain(chapter.schedule, {**PLAIN, "decay": decays["large"]}, {**PLAIN, "decay": decays["usual"]}),
            f"test accuracy at the last step, decay {called['large']} minus decay {called['usual']}",
            f"最后一步的测试准确率，衰减率 {called['large']} 减衰减率 {called['usual']}",
        )
        for name, decay in decays.items():
            for part, (better, worse) in PARTS.items():
                found[f"decay_{name}_{SHORT[part]}_{language}"] = number(
                    _gain(chapter.schedule, {**better, "decay": decay}, {**worse, "decay": decay}),
                    f"test accuracy lost to {part} at decay {called[name]}, with its remedy minus without",
                    f"衰减率 {called[name]} 时{CHINESE[part]}造成的测试准确率下降，补救后减补救前",
                )
        for schedule, chinese in (("constant", "恒定学习率下"), ("annealed", "学习率退火时")):
            found[f"decay_lost_{schedule}_{language}"] = number(
                _gain(schedule, {"statistics": "precise"}, {**PLAIN, "decay": decays["usual"]}),
                f"test accuracy, {schedule} learning rate, precise statistics minus decay {called['usual']}",
                f"{chinese}最后一步的测试准确率，精确统计量减衰减率 {called['usual']}",
            )
    return found


_Measure = Callable[[Tables], "pd.Series[float]"]


def _gain(schedule: str, better: dict[str, Any], worse: dict[str, Any]) -> _Measure:
    def measure(tables: Tables) -> pd.Series[float]:
        last = last_step(rows(tables, "evaluation", schedule=schedule))
        values = accuracy(last, **better), accuracy(last, **worse)
        if any(series.empty for series in values):
            raise NotMeasuredError(f"no evaluation with {better} or with {worse}")
        return paired(*values)

    return measure
