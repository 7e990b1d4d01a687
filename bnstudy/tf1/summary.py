"""``tf.summary``: accepted so that programs run, and not written anywhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.graph import Operation, get_default_graph
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.uncovered import refused

__getattr__ = refused(__name__)

_SAID: list[str] = []


def scalar(
    name: str, tensor: Any, collections: Sequence[str] | None = None, family: str | None = None
) -> Operation:
    """Return an operation that evaluates ``tensor``; nothing is written."""
    del family
    return _evaluated(name, tensor, collections)


def histogram(
    name: str, values: Any, collections: Sequence[str] | None = None, family: str | None = None
) -> Operation:
    """Return an operation that evaluates ``values``; nothing is written."""
    del family
    return _evaluated(name, values, collections)


def image(
    name: str, tensor: Any, max_outputs: int = 3, collections: Sequence[str] | None = None
) -> Operation:
    """Return an operation that evaluates ``tensor``; nothing is written."""
    del max_outputs
    return _evaluated(name, tensor, collections)


def merge(
    inputs: Sequence[Any], collections: Sequence[str] | None = None, name: str | None = None
) -> Operation:
    """Return an operation that evaluates what ``inputs`` summarise."""
    graph = get_default_graph()
    with graph.control_dependencies(inputs):
        op = graph.add(name or "Merge/MergeSummary", [], lambda run: None, [])
    for key in collections or []:
        graph.add_to_collection(key, op)
    return op


def merge_all(key: str = GraphKeys.SUMMARIES) -> Operation | None:
    """Return an operation that evaluates what all summaries ask for, or None without any."""
    found = get_default_graph().get_collection(key)
    return merge(found) if found else None


class FileWriter:
    """Accepts what a program writes for TensorBoard, and drops it."""

    def __init__(self, logdir: Any = None, graph: Any = None, *args: Any, **kwargs: Any) -> None:
        del logdir, graph, args, kwargs
        _say()

    def add_summary(self, summary: Any, global_step: Any = None) -> None:
        """Do nothing."""

    def add_graph(self, graph: Any, global_step: Any = None) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def _evaluated(name: str, tensor: Any, collections: Sequence[str] | None) -> Operation:
    _say()
    graph = get_default_graph()
    # What is summarised has to run: with in-place updates its evaluation changes variables.
    op = graph.add(name, [convert_to_tensor(tensor)], lambda run, value: None, [])
    for key in collections if collections is not None else [GraphKeys.SUMMARIES]:
        graph.add_to_collection(key, op)
    return op


def _say() -> None:
    if not _SAID:
        _SAID.append("once")
        warnings.warn(
            "tf.summary: summaries are evaluated and not written anywhere", UserWarning, stacklevel=4
        )
