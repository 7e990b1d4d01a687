"""The probes that a run's spec asks for, attached to its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor

from bnstudy.probes import (
    ActivationDrift,
    Gaussianity,
    GradientHealth,
    GradientPredictiveness,
    InternalCovariateShift,
    stepped,
)
from bnstudy.records.spec import Probe, RunSpec
from bnstudy.records.tables import Table
from bnstudy.train.fleet import LossFunction, evaluation_steps
from bnstudy.train.networks import Network

_Make = Callable[[Network, LossFunction, Callable[[], float]], Any]

# A record is stale when one of its own probes changes; see bnstudy.study.deciding.
PROBES: dict[Probe, _Make] = {
    "activation_drift": lambda net, loss, rate: ActivationDrift(net),
    "gaussianity": lambda net, loss, rate: Gaussianity(net),
    "gradient_health": lambda net, loss, rate: GradientHealth(net),
    "gradient_predictiveness": lambda net, loss, rate: GradientPredictiveness(net, loss, rate),
    "internal_covariate_shift": lambda net, loss, rate: InternalCovariateShift(net, loss),
}


class Probed:
    """Attaches a spec's probes to its run, when called, and then watches it at the spec's steps."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec

    def __call__(self, net: Network, loss: LossFunction, rates: list[float]) -> Probed:
        """Attach the probes to a network that will be trained at ``rates``."""
        self._rates = rates
        self._steps = evaluation_steps(len(rates), self._spec.probed_steps)
        self._seen = 0
        self._probes = {name: PROBES[name](net, loss, self._rate) for name in self._spec.probes}
        return self

    def due(self, step: int) -> bool:
        """Say whether the probes look at this step."""
        return step in self._steps

    @contextmanager
    def around(self, x: Tensor, y: Tensor) -> Iterator[None]:
        """Let every probe look at the step in the body."""
        with ExitStack() as stack:
            for probe in self._probes.values():
                stack.enter_context(probe(x, y))
            yield
            # Where all gradients are 0 nobody could tell.
            stepped()
        self._seen += 1

    def tables(self) -> dict[str, Table]:
        """Return each probe's rows by its name: step, layer, quantity, value."""
        found: dict[str, Table] = {}
        for name, probe in self._probes.items():
            frame = probe.frame()
            # A probe counts the steps that it was shown.
            frame["step"] = [self._steps[i - 1] for i in frame["step"]]
            found[name] = {column: frame[column].tolist() for column in frame}
        return found

    def _rate(self) -> float:
        return self._rates[self._steps[self._seen] - 1]
