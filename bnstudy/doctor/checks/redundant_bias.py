"""A bias in front of batch norm, which the mean takes away again."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.history import History
from bnstudy.doctor.remedies import layer as get
from bnstudy.doctor.scanning import Subject
from bnstudy.doctor.surroundings import bias_of, in_front


def _scan(subject: Subject) -> Iterator[Finding]:
    if subject.model is None:
        return
    for name, module in in_front(subject.model).values():
        bias = bias_of(module)
        if bias is not None and bias.requires_grad:
            yield finding(name, bias.numel(), "likely: the layer registered right before a batch-norm layer")


def _watch(history: History) -> Iterator[Finding]:
    for name, numbers in history.biases.items():
        yield finding(name, numbers, "certain: its output went into batch norm")


def finding(name: str, parameters: int, sure: str) -> Finding:
    """Return what is said of a layer with such a bias."""
    return CHECK.finding(
        "note",
        name,
        "has a bias, and batch norm behind it",
        cause="The batch's mean takes the bias away, whatever it is: parameters and time for nothing. It "
        "matters "
        "where a running mean lags, or where the bias is folded away and forgotten.",
        fix=f"{get(name)}\n# in a new model: bias=False; here it may stay",
        sure=sure,
        parameters=parameters,
    )


CHECK = Check(
    "redundant-bias",
    "a bias in front of batch norm",
    "4uiiurz1/pytorch-nested-unet#39",
    scan=_scan,
    watch=_watch,
)
