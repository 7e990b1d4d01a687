"""What a spec describes, built: networks, their optimizer, and the learning rate of each step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bnstudy.records.spec import RunSpec
from bnstudy.train.network import ArticleNet
from bnstudy.train.networks import Asked, Network, build
from bnstudy.train.optimize import SGD, Adam, Optimizer
from bnstudy.train.seeds import INITIALISATION, generator


def build_networks(specs: Sequence[RunSpec], noise: Sequence[torch.Generator]) -> Network:
    """Return the specs' networks side by side on the CPU, each with the initial weights of its own seed.

    ``noise`` are the sources of each one's dropout and noise, on the device where they will run.
    """
    spec = specs[0]
    generators = [generator(s.seed, INITIALISATION) for s in specs]
    net = _article(spec, generators, noise) if spec.network == "article" else _other(spec, generators)
    for layer in net.norm_layers():
        if spec.updates != "bank":
            layer.updates = spec.updates
        else:
            # The bank keeps the averages. Those of renorm enter training, and absorb once a step.
            layer.updates = "with_step" if spec.renorm else "never"
    return net


def _other(spec: RunSpec, generators: Sequence[torch.Generator]) -> Network:
    asked = Asked(
        norm=spec.norm,
        decay=spec.decays[0],
        epsilon=spec.epsilon,
        scale=spec.scale,
        members=len(generators),
        generators=generators,
    )
    return build(spec.network, asked)


def _article(
    spec: RunSpec, generators: Sequence[torch.Generator], noise: Sequence[torch.Generator]
) -> Network:
    bounds = {"rmax": spec.renorm_rmax, "dmax": spec.renorm_dmax}
    clipping = {name: bound for name, bound in bounds.items() if bound is not None}
    if spec.renorm_rmax is not None:
        clipping["rmin"] = 1.0 / spec.renorm_rmax
    return ArticleNet(
        norm=spec.norm,
        relu_on_logits=spec.relu_on_logits,
        conv_bias=spec.conv_bias,
        initialisation=spec.initialisation,
        decay=spec.decays[0],
        epsilon=spec.epsilon,
        scale=spec.scale,
        scale_last=spec.scale_last,
        noise_frozen=spec.noise_frozen,
        noise_dose=spec.noise_dose,
        norm_last=spec.norm_last,
        renorm=spec.renorm,
        renorm_clipping=clipping,
        renorm_decay=spec.renorm_decay,
        dropout=spec.dropout,
        dropout_place=spec.dropout_place,
        members=len(generators),
        generator=generators,
        noise_generator=noise,
    )


def build_optimizer(specs: Sequence[RunSpec], net: Network) -> Optimizer:
    """Return the specs' optimizer over their networks side by side."""
    weight_decay = [spec.weight_decay for spec in specs]
    if specs[0].optimizer == "sgd":
        turns = net.turns() if specs[0].in_turn else []
        return SGD(net, len(specs), weight_decay, specs[0].momentum, turns)
    return Adam(net, len(specs), weight_decay)


def learning_rates(spec: RunSpec, total: int) -> list[float]:
    """Return the learning rate of each of ``total`` steps."""
    if spec.schedule == "constant":
        return [spec.learning_rate] * total
    if spec.schedule == "annealed":
        return [spec.learning_rate * (1 - step / total) for step in range(total)]
    falling = total // spec.epochs * spec.annealed_epochs
    fall = [spec.learning_rate * (1 - step / falling) for step in range(falling)]
    return [spec.learning_rate] * (total - falling) + fall
