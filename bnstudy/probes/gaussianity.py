"""How far from a standard Gaussian activations are, at each stage of a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from bnstudy.norm.layer import BatchNorm
from bnstudy.probes.calls import intercepted
from bnstudy.probes.log import Log, Row, Schedule, always
from bnstudy.probes.moment import Moment, underlying, undisturbed
from bnstudy.probes.units import check_sample_size, sample_by_unit, unit_axis, values_of

_NORMALISE = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, BatchNorm)
# Names, since each has several homes: torch, torch.nn.functional and methods.
_ACTIVATIONS = frozenset(
    {
        "celu",
        "elu",
        "elu_",
        "gelu",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "leaky_relu_",
        "mish",
    }
    | {"prelu", "relu", "relu_", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh"}
)


class Gaussianity:
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
    at its first call. A unit is a channel (axis 1), or an entry of the last axis for linear layers, layer
    normalization, embeddings, attention and recurrent layers. Everything is measured before the step, on
    its batch, in the mode at the entry of the ``with`` statement.

    Cost: a forward pass and sorts of ``values_per_unit`` values of each unit. Memory: a copy of the
    parameters.

    Args:
        model: any module; called as ``model(x)``.
        values_per_unit: how many values of a unit are looked at, at positions drawn once; None for all.
        schedule: which steps are measured, from the step's number (the first is 1) to a bool.
    """

    def __init__(
        self, model: nn.Module, *, values_per_unit: int | None = 512, schedule: Schedule = always
    ) -> None:
        self._model = underlying(model)
        self._size = check_sample_size(values_per_unit)
        self._log = Log(schedule)

    @contextmanager
    def __call__(self, x: Any, y: Any = None) -> Iterator[None]:
        """Measure before the body, on the batch ``x`` (the model's input); ``y`` isn't used."""
        del y
        with self._log.step() as rows:
            if rows is not None:
                moment = Moment(self._model)
                stages = _Stages(self._model, self._size)
                with undisturbed(self._model), torch.no_grad(), stages.watching():
                    moment.run(moment.weights, lambda model: model(x))
                rows += stages.rows
            yield

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement: step (from 1), layer, quantity, value."""
        return self._log.frame()


class _Stages(TorchFunctionMode):
    """Watches a forward pass for the outputs of layers and what activation functions make of them."""

    def __init__(self, model: nn.Module, size: int | None) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._model = model
        self._size = size
        self._names = {
            module: name
            for name, module in model.named_modules()
            if isinstance(module, _NORMALISE) or next(module.parameters(recurse=False), None) is not None
        }
        self._seen: set[tuple[str, str]] = set()
        # The newest output of a layer, with its version: only as it came is it that layer's.
        self._newest: tuple[nn.Module, Tensor, int] | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        with intercepted(self._model, self._around), self:
            yield

    def _around(self, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if module not in self._names:
            return forward(*args, **kwargs)
        if isinstance(module, BatchNorm) and module.activation is not None:
            activation, module.activation = module.activation, None
            output = forward(*args, **kwargs)
            module.activation = activation
            self._note_output(module, output)
            output = activation(output)
            self._note(module, "activated", output)
            return output
        output = forward(*args, **kwargs)
        self._note_output(module, output)
        return output

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        if func.__name__ not in _ACTIVATIONS or self._newest is None:
            return func(*args, **kwargs)
        module, output, version = self._newest
        direct = (args[0] if args else kwargs.get("input")) is output and output._version == version
        result = func(*args, **kwargs)
        if direct:
            self._note(module, "activated", result)
        return result

    def _note_output(self, module: nn.Module, output: Any) -> None:
        sample = self._note(module, "output", output)
        if sample is not None and isinstance(module, _NORMALISE):
            # The affine map is undone on the sample alone.
            scale, offset = _affine(module)
            if offset is not None:
                sample = sample - offset.reshape(-1, 1)
            if scale is not None:
                sample = (sample / scale.reshape(-1, 1))[scale.reshape(-1) != 0]
            self._add(module, "normalised", sample)
        if isinstance(output, Tensor):
            self._newest = (module, output, output._version)

    def _note(self, module: nn.Module, stage: str, value: Any) -> Tensor | None:
        place = (self._names[module], stage)
        values = values_of(value)
        if values is None or place in self._seen:
            return None
        self._seen.add(place)
        sample = sample_by_unit(values, unit_axis(module), self._size)
        self._add(module, stage, sample)
        return sample

    def _add(self, module: nn.Module, stage: str, sample: Tensor) -> None:
        for quantity, value in _shape(sample).items():
            self.rows.append((self._names[module], f"{stage}_{quantity}", value))


def _affine(module: nn.Module) -> tuple[Tensor | None, Tensor | None]:
    names = ("gamma", "beta") if isinstance(module, BatchNorm) else ("weight", "bias")
    scale, offset = (getattr(module, name, None) for name in names)
    return scale, offset


def _shape(sample: Tensor) -> dict[str, float]:
    """Return the quantities of a sample [U, n], averaged over units."""
    n = sample.shape[1]
    variance, mean = torch.var_mean(sample, dim=1, correction=0, keepdim=True)
    # A constant unit divides 0 by 0, and drops out as NaN.
    z = (sample - mean) / variance.sqrt()
    quantiles = torch.special.ndtri((torch.arange(n, device=sample.device).double() + 0.5) / n)
    distance = (sample.sort(dim=1).values - quantiles.to(sample)).abs().mean(dim=1)
    return {
        "skewness": float((z**3).mean(dim=1).abs().nanmean()),
        "excess_kurtosis": float((z**4).mean(dim=1).nanmean() - 3.0),
        "normal_distance": float(distance.mean()),
    }
