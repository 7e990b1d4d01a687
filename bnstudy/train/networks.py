"""The networks that a run can train, by name: the tutorial's, a small ResNet, and users' own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn

from bnstudy.norm import BatchNorm


@dataclass(frozen=True)
class Asked:
    """What a run asks of its network.

    * ``norm``: ``"batch"`` or ``"none"``.
    * ``channels_in``, ``classes``: of the images.
    * ``decay``, ``epsilon``, ``scale``: of ``bnstudy.BatchNorm``.
    * ``members``: how many networks side by side, one that many times as wide, so that every parameter and
      buffer holds member after member on its first axis.
    * ``generators``: the source of each member's initial weights.
    """

    norm: str = "batch"
    channels_in: int = 3
    classes: int = 10
    decay: float = 0.9
    epsilon: float = 1e-3
    scale: bool = False
    members: int = 1
    generators: Sequence[torch.Generator | None] = field(default=(None,))

    def norm_layer(self, features: int) -> nn.Module:
        """Return the normalisation of so many features, all members' together."""
        if self.norm == "none":
            return nn.Identity()
        return BatchNorm(features, decay=self.decay, epsilon=self.epsilon, scale=self.scale)


class Network(nn.Module):
    """What a run trains: R networks side by side, [N, R * C, H, W] to logits [N, R * classes]."""

    members: int = 1

    def norm_layers(self) -> list[BatchNorm]:
        """Return the batch-norm layers, in the order in which they are held."""
        return [m for m in self.modules() if isinstance(m, BatchNorm)]

    def start(self, x: Tensor) -> Tensor:
        """Do what no normalisation statistics enter, once for all evaluations that differ in them."""
        return x

    def finish(self, x: Tensor) -> Tensor:
        """Return the logits from what ``start`` gave."""
        logits: Tensor = self(x)
        return logits

    def turns(self) -> list[nn.Module]:
        """Return the parts that ``in_turn`` updates one a step; they have all parameters between them."""
        return [m for m in self.children() if any(True for _ in m.parameters())]


Build = Callable[[Asked], Network]

_REGISTERED: dict[str, Build] = {}

# Where the networks of this package are: only the one that is asked for is imported.
OWN: Final = {"article": "bnstudy.train.network", "resnet8": "bnstudy.train.resnet:ResNet8"}


def register(name: str, build: Build) -> None:
    """Let runs name a network: ``RunSpec(network=name)`` trains what ``build`` returns.

    Registration holds in this process. Runs in other processes, and whoever trains a record again, find a
    network by where it is: ``network="package.module:function"`` needs no registration.

    Raises:
        ValueError: the name is taken, or has a colon.
    """
    if name in OWN or ":" in name or _REGISTERED.get(name, build) is not build:
        taken = ", ".join(map(repr, [*OWN, *_REGISTERED]))
        raise ValueError(f"name is {name!r}; allowed: one without a colon that isn't taken ({taken})")
    _REGISTERED[name] = build


def build(name: str, asked: Asked) -> Network:
    """Return the network of that name, on the CPU.

    Raises:
        ValueError: there is none, or it isn't a ``Network``, or not one for so many members.
    """
    where = OWN.get(name, name)
    if name in _REGISTERED:
        make = _REGISTERED[name]
    else:
        module, _, attribute = where.partition(":")
        try:
            make = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            known = ", ".join(map(repr, [*OWN, *_REGISTERED]))
            raise ValueError(
                f"network is {name!r} ({error}); allowed: {known}, or 'package.module:function'"
            ) from error
    with torch.random.fork_rng(devices=[]):
        # Layers that start themselves draw from the default generator: let it follow from the seed too.
        first = asked.generators[0]
        torch.manual_seed(torch.initial_seed() if first is None else first.initial_seed())
        net = make(asked)
    if not isinstance(net, Network) or net.members != asked.members:
        raise ValueError(
            f"network {name!r} gave a {type(net).__name__}; allowed: a bnstudy.networks.Network "
            f"with members {asked.members}"
        )
    return net
