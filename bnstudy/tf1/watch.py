"""What a session notices from run to run: flags that nothing reads, update operations that are forgotten."""

from __future__ import annotations

from typing import Any

from bnstudy.tf1.dtypes import boolean
from bnstudy.tf1.errors import warn_of_trap
from bnstudy.tf1.graph import Graph
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.run import Plan


class Watch:
    """Warns, once each, of traps that only show when a graph runs."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._said: set[str] = set()
        self._trained = False
        self._moved: set[str] = set()

    def before(self, plan: Plan, *, new: bool) -> None:
        """Look at what is about to run; ``new``: for the first time in this session."""
        if new:
            for variable in plan.assigned:
                self.assigned(variable)
        if plan.trains:
            self._trained = True
        self._moved |= plan.moved
        if self._trained and not plan.trains:
            self._forgotten(plan)

    def assigned(self, name: str) -> None:
        """Look at a variable that is set: is it a flag that the graph never reads?"""
        op = self._graph.operations.get(name)
        if name in self._said or op is None or op.outputs[0].dtype is not boolean:
            return
        calls = self._graph.batch_norms
        by_python = calls and all(isinstance(c.training, (bool, int, str)) and c.training for c in calls)
        if not by_python or not any(c.in_place for c in calls) or self._read(op.outputs[0]):
            return
        self._said.add(name)
        warn_of_trap(
            f"the Boolean variable {name!r} is assigned, but nothing in the graph reads it: every "
            "batch_norm was built "
            "with is_training=True, a Python value. A test such as `train is not False` or `if train:` "
            "asks about the "
            "object, once, while the graph is built. So evaluation normalises by its own batch, and moves "
            "the "
            "averages; give the variable itself: is_training=train"
        )

    def _read(self, value: Any) -> bool:
        return any(value in op.inputs for op in self._graph.operations.values())

    def _forgotten(self, plan: Plan) -> None:
        if "updates" in self._said or not plan.read:
            return
        kept = self._graph.get_collection(GraphKeys.UPDATE_OPS)
        averages = {t.op.name for item in kept for t in getattr(item, "op", item).writes}
        still = sorted(n for n in plan.read if n in averages and n not in self._moved)
        if still:
            self._said.add("updates")
            warn_of_trap(
                f"{still[0]!r} is used, and was never updated in this session, though the network was "
                "trained: the "
                f"{len(kept)} operations in tf.GraphKeys.UPDATE_OPS are run by nobody. Train under "
                "tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)), or give "
                "updates_collections=None"
            )
