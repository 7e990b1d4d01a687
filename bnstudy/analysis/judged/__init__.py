"""The second round: claims as parts, each a bound on one quantity, judged by one procedure and frozen by
machine.

A chapter's ``judged.py`` has its claims. What they read is in ``design`` (blocks, arms, seeds) and
``training``; how a number is taken from it in ``contrasts``, ``times`` and ``probed``; answers and verdicts
in ``verdicts``; digests, and what a build refuses, in ``digest`` and ``preregistration``.
``bnstudy.chapters.judged`` finds all claims.
"""

from bnstudy.analysis.judged.design import BLOCKS, CONFIRMATORY, TUNING, Block
from bnstudy.analysis.judged.parts import Claim, Part, Quantity, Verified, Words
from bnstudy.analysis.judged.training import Evaluation, NotTestedError, Training
from bnstudy.analysis.judged.verdicts import Estimate, Finding, Judgement, estimate, judge

__all__ = [
    "BLOCKS",
    "CONFIRMATORY",
    "TUNING",
    "Block",
    "Claim",
    "Estimate",
    "Evaluation",
    "Finding",
    "Judgement",
    "NotTestedError",
    "Part",
    "Quantity",
    "Training",
    "Verified",
    "Words",
    "estimate",
    "judge",
]
