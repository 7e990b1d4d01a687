"""A gap between training and evaluation data that precise statistics don't close."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.examination import MOVING, PRECISE, Examination
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.paired import apart

GAP = 0.02  # of accuracy, that the interval has to lie above


def _diagnose(found: Examination) -> Iterator[Finding]:
    cost, trained, evaluated = found.cost(MOVING, PRECISE), found.trained, found.answers.get(PRECISE)
    if cost is None or cost.verdict == "harm" or trained is None or evaluated is None:
        return
    if trained.accuracy is None or evaluated.accuracy is None:
        return
    value, low, high = apart(trained.accuracy, evaluated.accuracy)
    if low <= GAP:
        return
    yield CHECK.finding(
        "note",
        None,
        f"{100 * value:.1f} points [{100 * low:.1f}, {100 * high:.1f}] less accurate on the evaluation "
        f"data than on "
        "the training data, with precise statistics",
        cause="Batch norm's statistics don't explain it: it is overfitting, or the data differ.",
        fix="# more data, augmentation, regularisation; and look at how the evaluation data are prepared",
        sure="measured: a 95 % interval over the images of both",
        gap=value,
        low=low,
        high=high,
    )


CHECK = Check(
    "not-batch-norm",
    "the gap to the training data is there with precise statistics too",
    "JayPatwardhan/ResNet-PyTorch#2",
    diagnose=_diagnose,
)
