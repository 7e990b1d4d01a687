"""From frames to intervals, verdicts and figures. Nothing here needs torch."""

from bnstudy.analysis.bootstrap import bootstrap_interval
from bnstudy.analysis.claims import CLAIMS, Claim, Finding, NotMeasuredError, Rule, Verdict, judge, recorded
from bnstudy.analysis.statistics import Interval, hedges_g, holm, mean_interval, p_value

__all__ = [
    "CLAIMS",
    "Claim",
    "Finding",
    "Interval",
    "NotMeasuredError",
    "Rule",
    "Verdict",
    "bootstrap_interval",
    "hedges_g",
    "holm",
    "judge",
    "mean_interval",
    "p_value",
    "recorded",
]
