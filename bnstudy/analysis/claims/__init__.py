"""The article's thirteen claims and the rules that decide them, written down before their runs."""

from bnstudy.analysis.claims.averages import C6, C7, C10, C11
from bnstudy.analysis.claims.distribution import C1, C2, C3
from bnstudy.analysis.claims.judge import Finding, Verdict, judge
from bnstudy.analysis.claims.recorded import recorded
from bnstudy.analysis.claims.training import C4, C5, C13
from bnstudy.analysis.rules import Answer, Claim, Rule
from bnstudy.analysis.tables import NotMeasuredError
from bnstudy.chapters.knobs.rules import C8, C9, C12

CLAIMS: tuple[Claim, ...] = (C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13)

__all__ = ["CLAIMS", "Answer", "Claim", "Finding", "NotMeasuredError", "Rule", "Verdict", "judge", "recorded"]
