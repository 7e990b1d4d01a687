"""How far from a standard Gaussian activations are, at each stage of a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnstudy.probes.axes import Axes, UnitAxis
from bnstudy.probes.forward import Autocast, Forward
from bnstudy.probes.layers import Layers
from bnstudy.probes.log import Row, Schedule, always
from bnstudy.probes.moment import Moment, undisturbed
from bnstudy.probes.probe import Batch, Probe
from bnstudy.probes.stages import Stages
from bnstudy.probes.units import check_sample_size, sorted_by_unit


class Gaussianity(Probe):
    """Skewness, excess kurtosis and distance to the standard normal, of every layer's values.

    The stages, prefixes of the quantities: ``normalised_`` (a normalisation layer's value before scale and
    offset), ``output_`` (behind them; for any other layer its output) and ``activated_`` (behind the
    activation function that the output is passed to next, where there is one). For each unit:

    - ``skewness``: the absolute value of the third standardised moment;
    - ``excess_kurtosis``: the fourth standardised moment less 3;
    - ``normal_distance``: the Wasserstein-1 distance of the values themselves to N(0, 1), mean of
      ``|sorted x - quantiles|`` with the normal's quantiles at (k - 1/2)/n. It sees mean and variance too.

    Each is 0 for a standard Gaussian, up to sampling. Rows are averages over units; units of constant value
    have no skewness and kurtosis and are left out there, and units of scale 0 have no normalised value.

    The claim under test is Ioffe & Szegedy 2015 (arXiv 1502.03167) as read by many: that normalised values
    are standard Gaussian. The paper says mean 0 and variance 1 only.

    A layer is a module that owns parameters directly or normalises; a module called several times is measured
    at its first call, an accumulated step at its first micro-batch. A normalisation layer is one of PyTorch's
    or this package's, or any module that passes its own scale and offset to ``torch.nn.functional``'s
    normalisations; what it does to the value afterwards lies behind the ``output_`` stage. A unit is a
    channel, or a feature on the last axis, as PyTorch's layers have it; for other modules the axis is
    inferred from the shapes of parameters and activations, and a warning says where it was guessed.
    Everything is measured with the weights before the step, on its batch, in the mode at the entry of the
    ``with`` statement.

    Cost: a forward pass and sorts of ``values_per_unit`` values of each unit: one to three training steps on
    torchvision's networks (``benchmarks/networks.py``). Memory: a copy of the parameters.

    Args:
        model: any module. Under ``torch.compile`` and ``DistributedDataParallel`` the module below is
            measured, on this process's batch alone.
        kolmogorov: also give each stage's ``kolmogorov``, the largest distance between the distribution
            function of its standardised values and the standard Gaussian's, and ``gaussian_kolmogorov``, what
            that is in the mean for a Gaussian sample of this size.
        values_per_unit: how many values of a unit are looked at, at positions drawn once; None for all.
        layers: which of them: names as in ``named_modules()`` (``*`` stands for anything), classes of
            modules, or a function of name and module; all by default.
        unit_axis: the axis that counts units, for all layers, by layer's name, or as a function of name and
            module; where it isn't given it is inferred.
        forward: ``forward(model, batch)``, which returns (output, target), for models that aren't called as
            ``model(x)``; ``batch`` is what ``probe(batch)`` got, or the pair (x, y).
        autocast: a function without arguments that returns the context to pass batches in, where the body
            enters one of its own: ``lambda: torch.autocast("cuda", torch.bfloat16)``.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        values_per_unit: int | None = 512,
        kolmogorov: bool = False,
        layers: Layers | None = None,
        unit_axis: UnitAxis | None = None,
        forward: Forward | None = None,
        autocast: Autocast | None = None,
        schedule: Schedule = always,
    ) -> None:
        super().__init__(model, schedule=schedule, layers=layers, forward=forward, autocast=autocast)
        self._axes = Axes(self._model, unit_axis)
        self._size = check_sample_size(values_per_unit)
        self._kolmogorov = kolmogorov

    def _before(self) -> Moment:
        return Moment(self._model)

    def _after(self, start: Moment, batches: list[Batch]) -> list[Row]:
        stages = Stages(self._model, self._chosen, self._axes, self._size)
        with undisturbed(self._model), torch.no_grad(), stages.watching():
            start.run(start.weights, lambda model: self._feed.output(model, *batches[0]))
        return [
            (layer, f"{stage}_{quantity}", value)
            for layer, stage, sample in stages.samples
            for quantity, value in {
                **_shape(sample),
                **(_kolmogorov(sample) if self._kolmogorov else {}),
            }.items()
        ]


def _shape(sample: Tensor) -> dict[str, float]:
    """Return the quantities of a sample [U, n], averaged over units."""
    n = sample.shape[1]
    variance, mean = torch.var_mean(sample, dim=1, correction=0, keepdim=True)
    # A constant unit divides 0 by 0, and drops out as NaN.
    z = (sample - mean) / variance.sqrt()
    quantiles = torch.special.ndtri((torch.arange(n, device=sample.device).double() + 0.5) / n)
    distance = (sorted_by_unit(sample) - quantiles.to(sample)).abs().mean(dim=1)
    return {
        "skewness": float((z**3).mean(dim=1).abs().nanmean()),
        "excess_kurtosis": float((z**4).mean(dim=1).nanmean() - 3.0),
        "normal_distance": float(distance.mean()),
    }


def _kolmogorov(sample: Tensor) -> dict[str, float]:
    """Return Kolmogorov's distance of a sample [U, n] to the Gaussian of its moments, averaged over units."""
    n = sample.shape[1]
    mean, std = sample.double().mean(1, keepdim=True), sample.double().std(1, correction=0, keepdim=True)
    below = torch.special.ndtr((sorted_by_unit(sample).double() - mean) / std)
    ranks = torch.arange(n, device=sample.device, dtype=torch.float64) / n
    distance = torch.maximum(below - ranks, ranks + 1 / n - below).amax(1)
    return {"kolmogorov": float(distance.nanmean()), "gaussian_kolmogorov": lilliefors_mean(n)}


def lilliefors_mean(n: int) -> float:
    """Return the mean of Kolmogorov's statistic of ``n`` Gaussian values, mean and variance estimated.

    0.6345 / (sqrt(n) + 0.191 + 0.226 / sqrt(n)), in the form of Stephens 1974 (EDF Statistics for Goodness of
    Fit), fitted to simulations of n from 20 to 8000; it is within 1 % of them.
    """
    root = float(n**0.5)
    return 0.6345 / (root + 0.191 + 0.226 / root)
