"""A judged answer asked again: what was found, after a verdict, to carry it, or that it says nothing of."""

from __future__ import annotations

from dataclasses import dataclass

from bnstudy.analysis.judged.parts import Quantity
from bnstudy.analysis.judged.verdicts import Finding
from bnstudy.analysis.judged.wording import ANSWERS, in_language
from bnstudy.analysis.saying import Said, Writer


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
