"""From frames to intervals, verdicts and figures. Nothing here needs torch."""

from bnstudy._moved import moved_names
from bnstudy.analysis.rules import Claim, Finding, Label, Measured, Rule, Verdict, judge
from bnstudy.analysis.statistics import (
    Interval,
    bootstrap_interval,
    hedges_g,
    holm,
    mean_interval,
    p_value,
)
from bnstudy.analysis.tables import NotMeasuredError

__all__ = [
    "Claim",
    "Finding",
    "Interval",
    "Label",
    "Measured",
    "NotMeasuredError",
    "Rule",
    "Verdict",
    "bootstrap_interval",
    "hedges_g",
    "holm",
    "judge",
    "mean_interval",
    "p_value",
]

__getattr__ = moved_names(__name__)
