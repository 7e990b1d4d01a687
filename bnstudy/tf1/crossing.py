"""Trained weights between a session and a PyTorch network of convolutions and batch normalization."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bnstudy.norm.layer import BatchNorm
from bnstudy.tf1.checkpoint import arrays_of
from bnstudy.tf1.graph import Graph, Normalized, default_session
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.session import Session
from bnstudy.tf1.variables import Variable

_OIHW, _HWIO = (3, 2, 0, 1), (2, 3, 1, 0)


@dataclass(frozen=True)
class _Place:
    """One variable, the tensor that it is in the network, and whether it is a kernel [h, w, C, C_out]."""

    variable: Variable
    tensor: torch.Tensor
    kernel: bool = False


def to_network(network: nn.Module, session: Session | None = None) -> nn.Module:
    """Set ``network`` from the variables of ``session`` (default: the one whose ``with`` block this is);
    return it.

    Convolutions and ``bnstudy.BatchNorm`` layers are matched in the order in which they were made. Decay,
    epsilon and Bessel's correction, which no variable holds, come from the graph's calls of ``batch_norm``.
    For a checkpoint of TensorFlow's, build its graph, ``load_arrays`` and call this.

    Raises ``ValueError``, before anything is set, where graph and network differ in number or shapes of
    layers, in biases, gamma or beta, and for parameters of other layers: flattened images have another
    order of values here.
    """
    held = default_session(session)
    places = _places(held.graph, network)
    values = arrays_of(held)
    layers = list(zip(_norms(network), _calls(held.graph), strict=True))
    with torch.no_grad():
        for place in places:
            value = torch.as_tensor(np.ascontiguousarray(values[place.variable.op.name]))
            place.tensor.copy_(value.permute(_OIHW) if place.kernel else value)
    for layer, call in layers:
        layer.decay, layer.epsilon, layer.fused = float(call.decay), float(call.epsilon), call.bessel
    return network


def from_network(network: nn.Module, session: Session | None = None) -> None:
    """Set the variables of ``session`` from ``network``, matched as ``to_network`` does.

    Raises ``ValueError``, before anything is set, where the two differ, be it in decay, epsilon or Bessel's
    correction.
    """
    held = default_session(session)
    places = _places(held.graph, network)
    for layer, call in zip(_norms(network), _calls(held.graph), strict=True):
        wanted = (float(call.decay), float(call.epsilon), call.bessel)
        found = (layer.decay, layer.epsilon, layer.fused)
        for name, a, b in zip(("decay", "epsilon", "fused"), found, wanted, strict=True):
            if a != b:
                raise ValueError(f"{name} is {a!r} in the network and {b!r} in the graph's {call.scope!r}")
    for place in places:
        value = place.tensor.detach()
        place.variable.load(value.permute(_HWIO).contiguous() if place.kernel else value, held)


def _places(graph: Graph, network: nn.Module) -> list[_Place]:
    calls, norms = _calls(graph), _norms(network)
    scopes = {call.scope for call in calls}
    weights = [
        v
        for v in graph.get_collection(GraphKeys.TRAINABLE_VARIABLES)
        if v.op.name.rpartition("/")[0] not in scopes
    ]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    kernels = [v for v in weights if v.shape.ndims == 4]
    biases = [v for v in weights if v.shape.ndims == 1]
    places: list[_Place] = []
    _same_count("convolutions", len(convolutions), len(kernels))
    for module, kernel in zip(convolutions, kernels, strict=True):
        places.append(_Place(kernel, module.weight, kernel=True))
    biased = [m.bias for m in convolutions if m.bias is not None]
    _same_count("biases", len(biased), len(biases))
    places.extend(_Place(v, tensor) for v, tensor in zip(biases, biased, strict=True))
    _same_count("batch-norm layers", len(norms), len(calls))
    by_name = {v.op.name: v for v in graph.get_collection(GraphKeys.GLOBAL_VARIABLES)}
    for layer, call in zip(norms, calls, strict=True):
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            variable, tensor = by_name.get(f"{call.scope}/{name}"), getattr(layer, name)
            if (variable is None) != (tensor is None):
                where = "network" if variable is None else "graph"
                raise ValueError(f"{call.scope!r} has a {name} in the {where} alone")
            if variable is not None:
                places.append(_Place(variable, tensor))
    _check(places, network)
    unmatched = [v.op.name for v in weights if v.shape.ndims not in (1, 4)]
    if unmatched:
        raise ValueError(
            f"{unmatched} are neither kernels of convolutions nor biases, which is all that crosses over"
        )
    return places


def _check(places: Iterable[_Place], network: nn.Module) -> None:
    for place in places:
        sizes = [int(d) for d in place.variable.shape]
        wanted = [sizes[axis] for axis in _OIHW] if place.kernel else sizes
        if list(place.tensor.shape) != wanted:
            raise ValueError(
                f"{place.variable.op.name} has shape {sizes}, and its tensor in the network "
                f"{list(place.tensor.shape)}"
            )
    matched = {id(place.tensor) for place in places}
    others = [name for name, p in network.named_parameters() if id(p) not in matched]
    if others:
        raise ValueError(f"the network's parameters {others} are of layers that don't cross over")


def _norms(network: nn.Module) -> list[BatchNorm]:
    return [m for m in network.modules() if isinstance(m, BatchNorm)]


def _calls(graph: Graph) -> list[Normalized]:
    """Return one call for each set of variables; ``ValueError`` if two calls of one set differ."""
    found: dict[str, Normalized] = {}
    for call in graph.batch_norms:
        first = found.setdefault(call.scope, call)
        if (first.decay, first.epsilon, first.bessel) != (call.decay, call.epsilon, call.bessel):
            raise ValueError(
                f"two calls of batch_norm share {call.scope!r} and differ in decay, epsilon or fused"
            )
    return list(found.values())


def _same_count(what: str, network: int, graph: int) -> None:
    if network != graph:
        raise ValueError(f"the network has {network} {what}, the graph {graph}")
