"""What each decay loses against precise statistics at each setting: the numbers of the chapter's map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bnstudy.analysis.judged.wording import Language, in_language
from bnstudy.analysis.tables import Tables
from bnstudy.chapters.decay_range.rules import LARGE, at_the_end, lost
from bnstudy.chapters.decay_range.study import CENTRE, DecayRangeStudy


def by_setting(tables: Tables) -> pd.DataFrame:
    """Return the test accuracy lost, with columns setting, seed, decay and lost.

    Of each run that came to its end, after its last step.
    """
    frames = [
        lost(last, decay).rename("lost").reset_index().assign(setting=setting, decay=decay)
        for setting, last in at_the_end(tables).groupby("setting", sort=False)
        for decay in sorted(last["decay"].dropna().unique())
    ]
    columns = ["setting", "seed", "decay", "lost"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def rows_of(study: DecayRangeStudy) -> dict[str, dict[str, str]]:
    """Return the settings' labels by what they depart in, and there by value, ascending; the centre in each.

    A study without departures has the centre alone, among the learning rates.
    """
    kinds = {
        "learning rate": (study.learning_rate, study.learning_rates),
        "batch size": (study.batch_size, study.batch_sizes),
    }
    found = {
        kind: {
            f"{value:g}": CENTRE if value == centre else f"{kind} {value}"
            for value in sorted((centre, *others))
        }
        for kind, (centre, others) in kinds.items()
        if others
    }
    return found or {"learning rate": {f"{study.learning_rate:g}": CENTRE}}


def ends(table: pd.DataFrame, settings: Sequence[str]) -> tuple[float, str, float, list[str]] | None:
    """Return the mildest decay, the setting where it loses most, a large decay, and its extreme settings.

    The mildest is the one whose largest mean loss among ``settings`` is the smallest. The large one is
    C7's, or else the largest there is; where it is the mildest itself, or there is one setting, it has no
    extremes. ``table`` is what ``by_setting`` returns; None, if it has none of the settings.
    """
    means = table[table["setting"].isin(settings)].groupby(["decay", "setting"])["lost"].mean().unstack()
    if means.empty:
        return None
    worst = means.max(axis="columns")
    mildest: Any = worst.idxmin()
    large = LARGE if LARGE in means.index else means.index.max()
    between = []
    if large != mildest and len(means.columns) > 1:
        between = [str(means.loc[large].idxmin()), str(means.loc[large].idxmax())]
    return float(mildest), str(means.loc[mildest].idxmax()), float(large), between


def in_words(
    mildest: tuple[float, str], large: tuple[float, Sequence[str]], language: Language = "en"
) -> str:
    """Return in a sentence what the mildest decay loses at most, and between what a large one's losses lie.

    Both as the decay and what it loses, as it is written, where.
    """
    decay, most = mildest
    said = in_language(
        (
            f"decay {decay:g} loses at most {most} against precise statistics of the same weights",
            f"与同一组权重的精确统计量相比，测试准确率的降幅在衰减率 {decay:g} 时最多为 {most}",
        ),
        language,
    )
    decay, ends = large
    if ends:
        said += in_language(
            (
                f"; decay {decay:g} loses from {' to '.join(ends)}",
                f"；在衰减率 {decay:g} 时从 {'到 '.join(ends)}",
            ),
            language,
        )
    return said + in_language((".", "。"), language)
