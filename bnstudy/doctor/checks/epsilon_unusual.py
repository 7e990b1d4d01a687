"""An epsilon far from the frameworks' defaults, or larger than the variances that it is added to."""

from __future__ import annotations

from collections.abc import Iterator

from bnstudy.doctor.comparing import Pair
from bnstudy.doctor.finding import Check, Finding
from bnstudy.doctor.layers import statistics
from bnstudy.doctor.remedies import layer as get
from bnstudy.doctor.scanning import Subject

# From below PyTorch's 1e-5 (and the 1e-6 of some conversions) to TensorFlow's and Keras's 1e-3.
USUAL = (1e-6, 2e-3)


def _scan(subject: Subject) -> Iterator[Finding]:
    for layer in subject.layers:
        found = statistics(layer)
        if found is None or layer.epsilon is None:
            continue
        median = float(found[1].median())
        unusual = not USUAL[0] <= layer.epsilon <= USUAL[1]
        drowned = not layer.initial and 0 <= median < layer.epsilon
        if unusual or drowned:
            why = f"above the median variance {median:.2g}" if drowned else "far from the usual 1e-5 or 1e-3"
            yield CHECK.finding(
                "note",
                layer.name,
                f"epsilon is {layer.epsilon:g}, {why}",
                cause="A large epsilon drowns small variances, so that the layer hardly normalises; a "
                "tiny one lets a "
                "dead channel's noise through. Copied weights need the epsilon that they were trained with.",
                fix=f"{get(layer.name)}\nlayer.eps = 1e-5  # PyTorch's; TensorFlow's and Keras's is 1e-3",
                epsilon=layer.epsilon,
                median_variance=median,
            )


def _compare(pair: Pair) -> Iterator[Finding]:
    for a, b in pair.layers:
        if a.epsilon is not None and b.epsilon is not None and a.epsilon != b.epsilon:
            yield CHECK.finding(
                "note",
                a.name,
                f"epsilon is {a.epsilon:g} in one and {b.epsilon:g} in the other",
                cause="Weights and statistics were moved to a network with another epsilon, and channels "
                "of small "
                "variance come out at another scale.",
                fix=f"{get(a.name)}\nlayer.eps = {a.epsilon:g}  # in b",
                epsilon_a=a.epsilon,
                epsilon_b=b.epsilon,
            )


CHECK = Check(
    "epsilon-unusual",
    "epsilon is far from the layer's variances or from its framework's default",
    "r9y9/tacotron_pytorch#19",
    scan=_scan,
    compare=_compare,
)
