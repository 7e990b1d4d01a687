"""What a program is, and what is looked at when it runs, be it with TensorFlow or with ``bnstudy.tf1``."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Step = tuple[list[str], dict[Any, Any]]
Build = Callable[[Any, Any], "Program"]


@dataclass
class Program:
    """What to run: named fetches, and steps that name fetches and feed placeholders."""

    fetches: dict[str, Any]
    steps: list[Step]
    collections: list[str] = field(default_factory=list)


PROGRAMS: dict[str, Build] = {}


def program(repository: str) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        PROGRAMS[repository] = build
        return build

    return register


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(0.5, 1.5, shape).astype(np.float32)


def classes(count: int, seed: int = 0) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[np.random.default_rng(seed).integers(0, 3, count)]


def initial(name: str, shape: list[int]) -> np.ndarray:
    """Return a trainable variable's value, which follows from its name alone."""
    drawn = 0.3 * np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
    return (drawn + ("gamma" in name)).astype(np.float32)


def digest(value: np.ndarray) -> np.ndarray:
    """Return some of a large array's values, with the sums of all magnitudes and squares."""
    if value.size <= 64:
        return value
    flat = value.ravel().astype(np.float64)
    some = [*flat[:: flat.size // 16], np.abs(flat).sum(), np.square(flat).sum()]
    return np.array(some, value.dtype)


STANDARD = (
    "variables", "trainable_variables", "model_variables", "moving_average_variables", "update_ops",
    "regularization_losses", "train_op",
)  # fmt: skip


def observe(tf: Any, moving_averages: Any, build: Build) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return facts of the graph, and arrays by step and name, of variables after the first and the last."""
    arrays: dict[str, np.ndarray] = {}
    with tf.Graph().as_default():
        made = build(tf, moving_averages)
        keys = [*STANDARD, *made.collections]
        facts: dict[str, Any] = {
            "collections": {key: [item.name for item in tf.get_collection(key)] for key in keys},
            "fetches": {key: item.name for key, item in made.fetches.items() if key[0] != "_"},
        }
        variables = tf.global_variables()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            trainable = tf.trainable_variables()
            names = [v.op.name for v in trainable]
            for variable in variables:
                # An average of a variable starts where the variable does.
                source = variable.op.name.split("/ExponentialMovingAverage")[0]
                if variable in trainable or source in names:
                    shape = [int(d) for d in variable.get_shape()]
                    variable.load(initial(source, shape), session)
            for number, (names, feed) in enumerate(made.steps):
                got = session.run([made.fetches[name] for name in names], feed)
                found = dict(zip(names, got, strict=True))
                if number in (0, len(made.steps) - 1):
                    found.update({v.op.name: session.run(v) for v in variables})
                for name, value in found.items():
                    if value is not None:
                        arrays[f"{number}/{name}"] = digest(np.asarray(value))
    return facts, arrays


def images(tf: Any) -> Any:
    return tf.placeholder(tf.float32, [None, 6, 6, 2], name="images")


def packed(arrays: dict[str, np.ndarray]) -> tuple[list[Any], np.ndarray]:
    """Return keys, types and shapes, and all values in a row: many small arrays would be mostly headers."""
    layout = [[key, value.dtype.name, list(value.shape)] for key, value in arrays.items()]
    return layout, np.concatenate([value.ravel().astype(np.float64) for value in arrays.values()])


def unpacked(layout: list[Any], flat: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays that ``packed`` took."""
    found, start = {}, 0
    for key, kind, shape in layout:
        size = int(np.prod(shape))
        found[key] = flat[start : start + size].reshape(shape).astype(kind)
        start += size
    return found
