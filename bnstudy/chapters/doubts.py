"""Judged answers asked again: what was found, after a verdict, to carry it, or that it says nothing of.

A chapter that has some has a file ``doubts.py`` with ``DOUBTS``. The frozen answer stands; beside it stands
what the same judge says of the same quantity without what is doubted, with an interval as wide.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache

from bnstudy.analysis.judged.parts import Quantity
from bnstudy.analysis.judged.verdicts import Finding
from bnstudy.analysis.judged.wording import ANSWERS, in_language
from bnstudy.analysis.saying import Said, Writer
from bnstudy.chapters.found import parts


@dataclass(frozen=True)
class Doubt:
    """One answer that is doubted.

    * ``claim`` and ``part``: whose answer it is.
    * ``quantity``: what is asked instead, under a name of its own; it judges nothing.
    * ``said``: what is doubted, with ``{found}`` for the estimate and ``{answer}`` for the answer that the
      part would have.
    * ``leads``: whether it stands beside the verdict everywhere, or with the part's own lines alone.
    """

    claim: str
    part: str
    quantity: Quantity
    said: Said
    leads: bool = True

    def sentence(self, finding: Finding, write: Writer) -> str:
        """Return what is doubted, and what is found without it."""
        answer = in_language(ANSWERS[finding.answer], write.language)
        said = str(getattr(self.said, write.language))
        return said.format(found=write.estimate(finding.estimate), answer=answer)


@cache
def doubts() -> tuple[Doubt, ...]:
    """Return every chapter's doubts."""
    modules = (importlib.import_module(f"bnstudy.chapters.{chapter}.doubts") for chapter in parts("doubts"))
    return tuple(doubt for module in modules for doubt in module.DOUBTS)


@cache
def asked_again() -> dict[str, Quantity]:
    """Return the quantities of all doubts by name."""
    return {doubt.quantity.name: doubt.quantity for doubt in doubts()}
