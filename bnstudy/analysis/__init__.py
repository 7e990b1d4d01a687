"""From frames to intervals, verdicts and figures. Nothing here needs torch."""

from bnstudy.analysis.claims import Verdict, c6_smoothing_helps, c7_large_decay_overfits
from bnstudy.analysis.statistics import Interval, mean_interval

__all__ = ["Interval", "Verdict", "c6_smoothing_helps", "c7_large_decay_overfits", "mean_interval"]
