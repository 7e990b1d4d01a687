"""Random tensors, drawn anew in each run from generators that the session keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bnstudy.tf1.dtypes import as_dtype, float32
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import known_sizes

Draw = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def truncated_normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Return a tensor drawn anew in each run, normal and within two standard deviations."""
    bounds = mean - 2 * stddev, mean + 2 * stddev
    return random(
        name or "truncated_normal",
        shape,
        dtype,
        seed,
        lambda t, g: torch.nn.init.trunc_normal_(t, mean, stddev, *bounds, generator=g),
    )


def random_normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Return a tensor drawn anew in each run from a normal distribution."""
    return random(
        name or "random_normal", shape, dtype, seed, lambda t, g: t.normal_(mean, stddev, generator=g)
    )


def random_uniform(
    shape: Any,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Return a tensor drawn anew in each run, uniformly."""
    return random(
        name or "random_uniform", shape, dtype, seed, lambda t, g: t.uniform_(minval, maxval, generator=g)
    )


def random(name: str, shape: Any, dtype: Any, seed: int | None, draw: Draw) -> Tensor:
    """Return a tensor that ``draw`` fills in each run, from a generator that the session keeps.

    The stream is that of PyTorch, not TensorFlow's. It follows from the operation's own seed, else
    from ``set_random_seed`` and the operation's place in the graph; without either it is arbitrary.
    """
    kind = as_dtype(dtype)
    graph = get_default_graph()
    sizes, dynamic = known_sizes(shape)
    graph_seed, place = graph.seed, len(graph.operations)

    def compute(run: Any, wanted: torch.Tensor | None = None) -> torch.Tensor:
        generators = run.session.generators
        if op not in generators:
            generator = torch.Generator()
            if seed is not None:
                generator.manual_seed(seed + 7919 * (graph_seed or 0))
            elif graph_seed is not None:
                generator.manual_seed(graph_seed * 1_000_003 + place)
            else:
                generator.seed()
            generators[op] = generator
        # Drawn on the CPU, so that a seed means the same numbers on every device.
        size = [int(s or 0) for s in sizes or []] if wanted is None else wanted.tolist()
        drawn = draw(torch.empty(size, dtype=torch.float32), generators[op])
        return drawn.to(run.session.device, kind.torch)

    op = graph.add(name, [] if dynamic is None else [dynamic], compute, [(kind, TensorShape(sizes))])
    op.differentiable = False
    return op.outputs[0]


def set_random_seed(seed: int) -> None:
    """Make the random operations added from now on reproducible."""
    get_default_graph().seed = seed
