"""Which TensorFlow's batch normalization is meant, where its versions differ.

The default, ``"2.12"``, is tf-slim on TensorFlow 2.12, which equals 1.15 but for the fused
operation's smallest epsilon and 5-D input. The article's signature is that of ``"1.3"``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from bnstudy.norm.checks import check_choice
from bnstudy.norm.renorm import Algorithm

Name = Literal["1.3", "1.4", "1.12", "1.15", "2.12"]


@dataclass(frozen=True)
class Version:
    """What one version does.

    ``fused_default``: what ``fused=None`` means. ``fused_ranks``: ranks the core layer fuses.
    ``minimal_epsilon``: to which the fused operation raises a smaller epsilon. ``renorm``: the
    algorithm. ``frozen_averages``: whether ``trainable=False`` drops the core layer's updates.
    ``fused_regularizers``: whether a regulariser leaves the call fused. ``strict_fused``: whether
    ``fused=True`` with batch weights or renorm raises. ``second_apply``: whether an average
    may be applied twice to one variable. ``fused_float64``: whether the core layer falls back to
    the plain path for float64 instead of raising. ``fused_operation``: what its operation is called.
    """

    fused_default: bool = True
    fused_ranks: tuple[int, ...] = (4,)
    minimal_epsilon: float = 0.0
    renorm: Algorithm = "tf1.15"
    frozen_averages: bool = True
    fused_regularizers: bool = True
    strict_fused: bool = False
    second_apply: bool = True
    fused_float64: bool = False
    fused_operation: str = "FusedBatchNormV3"


VERSIONS: dict[Name, Version] = {
    "1.3": Version(
        fused_default=False,
        renorm="tf1.12",
        frozen_averages=False,
        fused_regularizers=False,
        strict_fused=True,
        second_apply=False,
        fused_operation="FusedBatchNorm",
    ),
    "1.4": Version(
        minimal_epsilon=1.001e-5,
        renorm="tf1.12",
        frozen_averages=False,
        fused_regularizers=False,
        second_apply=False,
        fused_operation="FusedBatchNorm",
    ),
    "1.12": Version(minimal_epsilon=1.001e-5, renorm="tf1.12", fused_operation="FusedBatchNorm"),
    "1.15": Version(minimal_epsilon=1.001e-5),
    "2.12": Version(fused_ranks=(4, 5), fused_float64=True),
}
_CURRENT: list[Name] = ["2.12"]


def current() -> Version:
    """Return the version that calls follow now."""
    return VERSIONS[_CURRENT[-1]]


@contextmanager
def emulate(name: Name) -> Iterator[Version]:
    """Return a context in which ``batch_norm`` and averages behave as in that version of TensorFlow.

    Raises ``ValueError`` for a name that is not one of ``VERSIONS``.
    """
    check_choice("name", name, VERSIONS)
    _CURRENT.append(name)
    try:
        yield current()
    finally:
        _CURRENT.pop()
