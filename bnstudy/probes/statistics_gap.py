"""How far moving averages are from the statistics that they follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.norm.bank import StatisticsBank
from bnstudy.norm.layer import BatchNorm
from bnstudy.probes.axes import unit_axis
from bnstudy.probes.calls import intercepted
from bnstudy.probes.forward import Autocast, Forward
from bnstudy.probes.layers import Layers
from bnstudy.probes.log import Row, Schedule, always
from bnstudy.probes.moment import Moment, undisturbed
from bnstudy.probes.probe import Batch, Probe
from bnstudy.probes.units import moments_by_unit


class StatisticsGap(Probe):
    """Moving against precise statistics of every batch-norm layer, after the step in the body.

    Precise statistics are the mean and population variance of all values that reach the layer on
    ``batches`` together, with the weights as they are and every batch normalised by its own statistics, as
    in training; layers that are frozen (in evaluation mode, in a model that isn't) stay so. For a layer
    with C channels, with eps the layer's own:

    - ``mean_gap``: root mean square over channels of (moving - precise mean) / sqrt(precise variance + eps),
      that is in standard deviations;
    - ``log_variance_gap``: root mean square over channels of log((moving variance + eps) / (precise
      variance + eps)).

    With a bank, one of each for every arm, ``mean_gap[decay=0.9,zero_debias=none]``, in place of the layer's
    own averages. Layers that track no statistics, and layers that ``batches`` don't reach, have no rows.

    Source: Wu & Johnson 2021 (arXiv 2105.07576), section 3; 10^3 to 10^4 samples are enough there.

    Cost: a forward pass for each of ``batches`` and two passes over the layers' inputs. Memory: a copy of
    the parameters.

    Args:
        model: any module. Under ``torch.compile`` and ``DistributedDataParallel`` the module below is
            measured, on this process's batch alone. Batch-norm layers are ``nn.BatchNorm*``,
            ``SyncBatchNorm`` and ``BatchNorm``.
        batches: inputs of the model (or what ``forward`` takes) to take the precise statistics from; kept.
        bank: moving averages of many decays; its layers must be in ``model``.
        layers: which of them: names as in ``named_modules()`` (``*`` stands for anything), classes of
            modules, or a function of name and module; all by default.
        forward: ``forward(model, batch)``, which returns (output, target), for models that aren't called as
            ``model(x)``; ``batch`` is what ``probe(batch)`` got, or the pair (x, y).
        autocast: a function without arguments that returns the context to pass batches in, where the body
            enters one of its own: ``lambda: torch.autocast("cuda", torch.bfloat16)``.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    _needs_batch = False

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Any],
        *,
        bank: StatisticsBank | None = None,
        layers: Layers | None = None,
        forward: Forward | None = None,
        autocast: Autocast | None = None,
        schedule: Schedule = always,
    ) -> None:
        super().__init__(model, schedule=schedule, layers=layers, forward=forward, autocast=autocast)
        self._inputs = list(batches)
        if not self._inputs:
            raise ValueError("batches is empty; allowed: at least one input of the model")
        if bank is not None and not set(bank.layers) <= set(self._model.modules()):
            raise ValueError("bank has layers that are not in model; allowed: a bank of model's layers")
        self._bank = bank

    def _after(self, start: Any, batches: list[Batch]) -> list[Row]:
        del start, batches
        return self._measure()

    def _measure(self) -> list[Row]:
        names: dict[nn.Module, str] = {
            module: name
            for name, module in self._model.named_modules()
            if isinstance(module, (_BatchNorm, BatchNorm)) and name in self._chosen
        }
        with undisturbed(self._model), torch.no_grad():
            pooled = self._pooled(names)
        rows: list[Row] = []
        banked = _split(self._bank) if self._bank is not None else {}
        for layer, precise in pooled.items():
            for suffix, moving in banked.get(layer) or _own(layer):
                mean_gap, log_variance_gap = _gap(layer, moving, precise.statistics())
                rows.append((names[layer], f"mean_gap{suffix}", mean_gap))
                rows.append((names[layer], f"log_variance_gap{suffix}", log_variance_gap))
        return rows

    def _pooled(self, layers: Iterable[nn.Module]) -> dict[nn.Module, _Pooled]:
        found: dict[nn.Module, _Pooled] = {}
        wanted = set(layers)
        norms = [m for m in self._model.modules() if isinstance(m, (_BatchNorm, BatchNorm))]
        # In a model that trains, a layer in evaluation mode is frozen. One that is evaluated as a whole is
        # measured as it would train.
        training = self._model.training or any(norm.training for norm in norms)

        def around(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if module in wanted:
                x = args[0] if args else next(iter(kwargs.values()))
                found.setdefault(module, _Pooled()).add(x.detach(), unit_axis(module))
            return forward(*args, **kwargs)

        def body(model: nn.Module) -> None:
            if not training:
                for norm in norms:
                    norm.training = True
            for x in self._inputs:
                self._feed.output(model, x)

        moment = Moment(self._model)
        with intercepted(self._model, around):
            moment.run(moment.weights, body)
        return {module: pooled for module, pooled in found.items() if pooled.count}


class _Pooled:
    """Moments of several batches as if they were one (Chan et al. 1979), in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._sum_squares = torch.zeros((), dtype=torch.float64)

    def add(self, x: Tensor, axis: int) -> None:
        if not x.numel():
            return
        mean, variance = (moment.double().cpu() for moment in moments_by_unit(x, axis))
        count = x.numel() // x.shape[axis]
        total = self.count + count
        delta = mean - self._mean
        self._mean = self._mean + delta * (count / total)
        self._sum_squares = self._sum_squares + variance * count + delta**2 * (self.count * count / total)
        self.count = total

    def statistics(self) -> Tensor:
        return torch.stack([self._mean, self._sum_squares / self.count])


def _own(layer: nn.Module) -> list[tuple[str, Tensor]]:
    if isinstance(layer, BatchNorm):
        return [("", torch.stack([layer.moving_mean, layer.moving_variance]))]
    mean, variance = layer.running_mean, layer.running_var
    if not isinstance(mean, Tensor) or not isinstance(variance, Tensor):
        return []
    return [("", torch.stack([mean, variance]))]


def _split(bank: StatisticsBank) -> dict[nn.Module, list[tuple[str, Tensor]]]:
    split: dict[nn.Module, list[tuple[str, Tensor]]] = {layer: [] for layer in bank.layers}
    sizes = [layer.num_features for layer in bank.layers]
    for arm in bank.arms:
        suffix = f"[decay={arm.decay},zero_debias={arm.zero_debias}]"
        parts = torch.split(bank.statistics(arm), sizes, dim=1)
        for layer, part in zip(bank.layers, parts, strict=True):
            split[layer].append((suffix, part))
    return split


def _gap(layer: nn.Module, moving: Tensor, precise: Tensor) -> tuple[float, float]:
    epsilon: Any = layer.epsilon if isinstance(layer, BatchNorm) else layer.eps
    mean, variance = moving.detach().double().cpu()
    precise_mean, precise_variance = precise
    mean_gap = (mean - precise_mean) / (precise_variance + epsilon).sqrt()
    log_gap = ((variance + epsilon) / (precise_variance + epsilon)).log()
    return float(mean_gap.square().mean().sqrt()), float(log_gap.square().mean().sqrt())
