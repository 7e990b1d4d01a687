"""Initial values of variables, as functions of shape and type."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from bnstudy.tf1.constants import constant
from bnstudy.tf1.dtypes import DType, as_dtype, float32
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.shapes import TensorShape

Initializer = Callable[[Sequence[int], Any], Tensor]
Draw = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def constant_initializer(value: Any = 0, dtype: Any = float32) -> Initializer:
    """Fill with ``value``; a list shorter than the shape repeats its last item."""

    def fill(shape: Sequence[int], kind: Any = None) -> Tensor:
        return constant(value, kind or dtype, shape)

    return fill


def zeros_initializer(dtype: Any = float32) -> Initializer:
    """Fill with 0."""
    return constant_initializer(0, dtype)


def ones_initializer(dtype: Any = float32) -> Initializer:
    """Fill with 1."""
    return constant_initializer(1, dtype)


def truncated_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Any = float32
) -> Initializer:
    """Draw from a normal distribution, again beyond two standard deviations."""

    def draw(shape: Sequence[int], kind: Any = None) -> Tensor:
        return truncated_normal(shape, mean, stddev, kind or dtype, seed)

    return draw


def random_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: int | None = None, dtype: Any = float32
) -> Initializer:
    """Draw from a normal distribution."""

    def draw(shape: Sequence[int], kind: Any = None) -> Tensor:
        return random_normal(shape, mean, stddev, kind or dtype, seed)

    return draw


def glorot_uniform_initializer(seed: int | None = None, dtype: Any = float32) -> Initializer:
    """Draw uniformly with variance 2 / (inputs + outputs): the default of ``get_variable``."""

    def draw(shape: Sequence[int], kind: Any = None) -> Tensor:
        field = math.prod(shape[:-2]) if len(shape) > 2 else 1
        fan_in, fan_out = (shape[-2:] if len(shape) > 1 else (*shape, *shape)) if shape else (1, 1)
        limit = math.sqrt(6.0 / (field * (fan_in + fan_out)))
        return random_uniform(shape, -limit, limit, kind or dtype, seed)

    return draw


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str = "truncated_normal",
) -> Tensor:
    """Return a tensor drawn anew in each run, normal and within two standard deviations."""
    bounds = mean - 2 * stddev, mean + 2 * stddev
    return random(
        name,
        shape,
        dtype,
        seed,
        lambda t, g: torch.nn.init.trunc_normal_(t, mean, stddev, *bounds, generator=g),
    )


def random_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str = "random_normal",
) -> Tensor:
    """Return a tensor drawn anew in each run from a normal distribution."""
    return random(name, shape, dtype, seed, lambda t, g: t.normal_(mean, stddev, generator=g))


def random_uniform(
    shape: Sequence[int],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str = "random_uniform",
) -> Tensor:
    """Return a tensor drawn anew in each run, uniformly."""
    return random(name, shape, dtype, seed, lambda t, g: t.uniform_(minval, maxval, generator=g))


def random(name: str, shape: Sequence[int], dtype: Any, seed: int | None, draw: Draw) -> Tensor:
    """Return a tensor that ``draw`` fills in each run, from a generator that the session keeps.

    The stream is that of PyTorch, not TensorFlow's. It follows from the operation's own seed, else
    from ``set_random_seed`` and the operation's place in the graph; without either it is arbitrary.
    """
    kind = as_dtype(dtype)
    graph = get_default_graph()
    graph_seed, place = graph.seed, len(graph.operations)

    def compute(run: Any) -> torch.Tensor:
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
        drawn = draw(torch.empty(list(shape), dtype=torch.float32), generators[op])
        return drawn.to(run.session.device, kind.torch)

    op = graph.add(name, [], compute, [(kind, TensorShape(list(shape)))])
    return op.outputs[0]


def default_initializer(dtype: DType) -> Initializer:
    """Return what ``get_variable`` uses: Glorot's uniform for floating point, else 0."""
    return glorot_uniform_initializer(dtype=dtype) if dtype.is_floating else zeros_initializer(dtype)


def set_random_seed(seed: int) -> None:
    """Make the random operations added from now on reproducible."""
    get_default_graph().seed = seed
