"""From a chapter's name and a notebook's parameters to the chapter, judged and cited."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bnstudy.chapters.asking import answerable
from bnstudy.chapters.found import only
from bnstudy.chapters.loading import run_study
from bnstudy.chapters.once import in_build

if TYPE_CHECKING:
    from bnstudy.chapters.base import Chapter


def open(chapter: str, parameters: Mapping[str, Any] | None = None) -> Chapter[Any]:
    """Return a chapter: its study planned, loaded or trained, judged beside all others, and cited.

    ``parameters`` may be a notebook's ``globals()``, as for ``run_study``, whose errors it raises too. Decays
    that are not recorded are answered from snapshots where there are some, and not trained
    (``bnstudy.chapters.asking``). In a notebook it also sets the book's style, and glues what other pages
    quote.

    Raises:
        SpecError: the chapter or a parameter is unknown or out of range. Nothing has run then.
        NotMeasuredError: another recorded study lacks rows that a rule reads.
    """
    if in_build():
        gc.disable()  # the process ends with its page: looking for garbage would take a tenth of its time
    settings, unrecorded = answerable(chapter, parameters or {})
    frames = run_study(chapter, settings)
    asked = None if unrecorded is None else unrecorded.answer()
    # What draws and judges loads after the parameters are known to be good.
    from bnstudy.analysis.page import in_the_book, show_tables
    from bnstudy.chapters.base import Chapter
    from bnstudy.chapters.claims import CLAIMS, recorded

    bears = any(rule.study == chapter for claim in CLAIMS for rule in claim.rules)
    others = recorded(data_dir=(parameters or {}).get("data_dir", "")) if bears else {}
    page = importlib.import_module(f"bnstudy.chapters.{chapter}.page")
    opened: Chapter[Any] = only(page, Chapter)(frames, frames.study, frames.runs, others)
    opened.asked = asked
    if in_the_book():
        from myst_nb import glue  # type: ignore[import-untyped]

        for name, value in opened.glued().items():
            glue(name, value, display=False)
        show_tables(opened.cite)
    return opened
