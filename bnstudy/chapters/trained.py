"""What the second round's trainings show beside the verdicts: described, at 95 %, and judged by nothing.

A chapter that has something to show of a block of trainings has a file ``trained.py`` with

* ``BLOCK``: the name of the study whose records it reads, such as ``"core"``;
* ``described(shown)``: what it says of them, in the language of ``shown``, a ``Shown``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bnstudy.analysis import page
from bnstudy.analysis.judged.wording import Language, in_language
from bnstudy.analysis.saying import Writer
from bnstudy.analysis.slider import inline_svg
from bnstudy.analysis.statistics import mean_interval
from bnstudy.analysis.words import Html, Sources
from bnstudy.chapters.found import parts, plan_of
from bnstudy.chapters.loading import load
from bnstudy.records.store import Store
from bnstudy.study.frames import Frames
from bnstudy.study.run import NotRecordedError, default_data_dir
from bnstudy.study.status import status


@dataclass(frozen=True)
class Shown:
    """A block's tables, and how a page in one language writes of them."""

    frames: Frames
    chapter: str
    language: Language

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
        epochs = {run.spec.epochs for run in self.frames.study.runs()}  # type: ignore[union-attr]
        # What is logged of training may be every tenth step alone, and end before the last.
        return float(self.frames["checkpoints"]["step"].max()) / max(epochs)

    def lost(self, values: Iterable[float]) -> str:
        """Return a mean loss of accuracy in points, with Student's interval over seeds."""
        return self.write.lost(values, mean_interval)

    def drawing(self, figure: Figure, name: str, text: str, caption: str) -> str:
        """Return a figure as it stands in the page, with ``text`` for who doesn't see it."""
        svg = inline_svg(figure, name, text)
        plt.close(figure)
        return f'<figure class="drawing">{svg}<figcaption>{caption}</figcaption></figure>'

    def table(self, rows: pd.DataFrame) -> str:
        """Return a table as HTML."""
        return str(page.show(rows))


def described(
    chapter: str, language: Language = "en", data_dir: str | os.PathLike[str] = "", **parameters: Any
) -> Html:
    """Return what a chapter shows of the second round's trainings; how many are recorded, until all are.

    A chapter without ``trained.py`` shows nothing.

    Args:
        chapter: its name.
        language: of the page.
        data_dir: folder of the records; empty: the repository's.
        parameters: of the block, such as ``dataset``.

    Raises:
        RecordError: a record is damaged.
    """
    if chapter not in parts("trained"):
        return Html("")
    module: Any = importlib.import_module(f"bnstudy.chapters.{chapter}.trained")
    try:
        frames = load(module.BLOCK, data_dir, **parameters)
    except NotRecordedError:
        return Html(_still_training(module.BLOCK, language, data_dir, parameters))
    say: Callable[[Shown], str] = module.described
    return Html(say(Shown(frames, chapter, language)))


def _still_training(
    block: str, language: Language, data_dir: str | os.PathLike[str], parameters: Mapping[str, Any]
) -> str:
    state = status(plan_of(block, parameters), Store(data_dir or default_data_dir()))
    count = f"{state.needed - len(state.missing)} / {state.needed}"
    said = in_language(
        (
            "The second round's trainings, <code>{}</code>, are not recorded in full yet ({}); what they "
            "show will stand here.",
            "第二轮的训练（<code>{}</code>）尚未全部入档（{}）；齐备之后，这里会列出它们的结果。",
        ),
        language,
    )
    return f"<p>{said.format(block, count)}</p>"
