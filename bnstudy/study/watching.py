"""The probes that a run's spec asks for, attached to its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from bnstudy.probes.activation_drift import ActivationDrift
from bnstudy.probes.gaussianity import Gaussianity
from bnstudy.probes.gradient_health import GradientHealth
from bnstudy.probes.gradient_predictiveness import GradientPredictiveness
from bnstudy.probes.internal_covariate_shift import InternalCovariateShift
from bnstudy.probes.steps import stepped
from bnstudy.records.spec import Probe, RunSpec
from bnstudy.records.tables import Table
from bnstudy.train.data import Dataset
from bnstudy.train.feed import Split, balanced_order, channel_statistics
from bnstudy.train.fleet import evaluation_steps
from bnstudy.train.images import FIXED
from bnstudy.train.networks import Network
from bnstudy.train.seeds import VIEW, generator
from bnstudy.train.watch import LossFunction

_Make = Callable[[RunSpec, Network, LossFunction, Callable[[], float]], Any]

# Values of a unit that gaussianity looks at where it is given images of its own.
VALUES = 4096


def _gaussianity(spec: RunSpec, net: Network) -> Gaussianity:
    if not spec.probed_images:
        return Gaussianity(net)
    return Gaussianity(net, kolmogorov=True, values_per_unit=VALUES)


# A record is stale when one of its own probes changes; see bnstudy.study.deciding.
PROBES: dict[Probe, _Make] = {
    "activation_drift": lambda spec, net, loss, rate: ActivationDrift(net),
    "gaussianity": lambda spec, net, loss, rate: _gaussianity(spec, net),
    "gradient_health": lambda spec, net, loss, rate: GradientHealth(net),
    "gradient_predictiveness": lambda spec, net, loss, rate: GradientPredictiveness(net, loss, rate),
    "internal_covariate_shift": lambda spec, net, loss, rate: InternalCovariateShift(
        net, loss, redrawn=spec.redrawn
    ),
}


class Probed:
    """Attaches a spec's probes to its run, when called, and then watches it at the spec's steps."""

    def __init__(self, spec: RunSpec, dataset: Dataset, device: str) -> None:
        self._spec = spec
        self._images: Any = None
        if spec.probed_images:
            order = balanced_order(dataset.y_train, generator(FIXED, VIEW))[: spec.probed_images].numpy()
            mean, std = channel_statistics(dataset.x_train)
            split = Split(
                dataset.x_train[order],
                dataset.y_train[order],
                mean,
                std,
                getattr(torch, spec.precision),
                torch.device(device),
                raw=False,
            )
            self._images = split.batch(torch.arange(len(order), device=device)[:, None])

    def __call__(self, net: Network, loss: LossFunction, rates: list[float]) -> Probed:
        """Attach the probes to a network that will be trained at ``rates``."""
        self._rates = rates
        self._steps = evaluation_steps(len(rates), self._spec.probed_steps)
        self._seen = 0
        self._probes = {name: PROBES[name](self._spec, net, loss, self._rate) for name in self._spec.probes}
        return self

    def due(self, step: int) -> bool:
        """Say whether the probes look at this step."""
        return step in self._steps

    @contextmanager
    def around(self, x: Tensor, y: Tensor) -> Iterator[None]:
        """Let every probe look at the step in the body."""
        with ExitStack() as stack:
            for name, probe in self._probes.items():
                own = name == "gaussianity" and self._images is not None
                stack.enter_context(probe(*self._images) if own else probe(x, y))
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
