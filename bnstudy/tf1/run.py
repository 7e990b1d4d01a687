"""One ``Session.run``: the operations that it needs, in order, and their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from bnstudy.tf1.errors import InvalidArgumentError
from bnstudy.tf1.graph import Compute, Operation, Tensor


class Gradients(Operation):
    """Derivatives of its first inputs by the others (``sources``); ``targets`` counts the first."""

    sources: Sequence[Tensor] = ()
    targets: Sequence[Tensor] = ()


class Plan:
    """What a session has to do for some targets, found once.

    As in TensorFlow, everything that a target reaches runs, what was made outside of a ``tf.cond``
    included, whichever branch is taken; what was made in a branch not taken is dead, and so is what needs
    it.
    """

    def __init__(self, targets: Sequence[Operation], fed: frozenset[Operation] = frozenset()) -> None:
        self.steps = _ordered(targets, fed)
        self.present = frozenset(self.steps)
        gradients = [op for op in self.steps if isinstance(op, Gradients)]
        # Of these, gradients are asked: their values have to be leaves, or told apart from their inputs.
        self.watched = {source for op in gradients for source in op.sources}
        self.watched_ops = {source.op for source in self.watched}
        self.higher = _differentiated_again(gradients)
        # Several derivatives share what the forward pass kept; the only one frees it on its way.
        self.shares_forward = len(gradients) > 1
        self.finished = _last_uses(self.steps, frozenset(targets))
        self.computes = self._faster(frozenset(targets))
        self.trains = any(op.role == "optimizer" for op in self.steps)
        self.assigned = _written(self.steps, "assign")
        self.moved = _written(self.steps, "moving")
        self.read = frozenset(op.name for op in self.steps if op.role == "variable")
        self.late = _late_readers(self.steps)

    def _faster(self, kept: frozenset[Operation]) -> list[Compute]:
        """Return what each step computes, where ReLU and maximum pooling have changed places if nobody sees
        it.

        ReLU rises, so that it commutes with a maximum, in its values and its derivatives; behind the pool
        it has a part of the values to look at.
        """
        readers = Counter(t for op in self.steps for t in op.inputs)
        needed = kept.union(self.watched_ops, *(op.control_inputs for op in self.steps))
        changed: dict[Operation, Compute] = {}
        for pool in self.steps:
            relu = pool.inputs[0].op if pool.role == "max pool" else None
            if relu is None or relu.role != "relu" or relu not in self.present or relu in needed:
                continue
            if readers[relu.outputs[0]] == 1:
                changed[relu], changed[pool] = _passed, _composed(relu.compute, pool.compute)
        return [changed.get(op, op.compute) for op in self.steps]


class Run:
    """The values of one ``Session.run``; ``session`` holds those of variables."""

    def __init__(self, session: Any, plan: Plan) -> None:
        self.session = session
        self.plan = plan
        self.values: dict[Operation, tuple[torch.Tensor, ...]] = {}
        self._dead: set[Operation] = set()

    def value(self, tensor: Tensor, reader: Operation | None = None) -> torch.Tensor:
        """Return the value of ``tensor``, whose operation has run, as ``reader`` sees it.

        A variable has one value for all readers of a run, but for those that wait for a change of it.
        """
        held = self.values[tensor.op][tensor.index]
        if reader is None or tensor not in self.plan.late.get(reader, ()):
            return held
        now: torch.Tensor = tensor.op.compute(self)
        # Derivatives by the variable count every read of it.
        return now + (held - held.detach()) if held.requires_grad else now

    def fetched(self, tensor: Tensor) -> torch.Tensor:
        """Return the value of a fetch; raises ``InvalidArgumentError`` if its branch was not taken."""
        if tensor.op in self._dead:
            raise InvalidArgumentError(
                f"{tensor.name} does not have a value: it needs an operation of a branch of tf.cond that "
                "was not taken"
            )
        return self.value(tensor)

    def feed(self, tensor: Tensor, value: torch.Tensor) -> None:
        """Give ``tensor`` a value instead of computing it."""
        self._keep(tensor.op, (value,), ())

    def kill(self, op: Operation) -> tuple[torch.Tensor, ...]:
        """Declare ``op`` dead, and with it all that depends on it."""
        self._dead.add(op)
        return ()

    def evaluate(self) -> None:
        """Run the plan."""
        values = self.values
        watched, late = self.plan.watched_ops, self.plan.late
        with torch.set_grad_enabled(bool(watched)):
            plan = self.plan
            for op, compute, finished in zip(plan.steps, plan.computes, plan.finished, strict=True):
                if self._dead and self._is_dead(op):
                    self.kill(op)
                    continue
                if op.merges:
                    arguments = []
                elif op in late:
                    arguments = [self.value(t, op) for t in op.inputs]
                else:
                    arguments = [values[t.op][t.index] for t in op.inputs]
                result = compute(self, *arguments)
                if result is None:
                    result = ()
                elif not isinstance(result, tuple):
                    result = (result,)
                if op in watched:
                    self._keep(op, result, arguments)
                else:
                    values[op] = result
                # Memory that nobody needs any more serves what comes next.
                del arguments, result
                for done in finished:
                    values.pop(done, None)

    def _keep(self, op: Operation, values: tuple[torch.Tensor, ...], inputs: Sequence[torch.Tensor]) -> None:
        # What gradients are asked of has to be a tensor of its own: a leaf, or a view of the input it
        # passes on.
        kept = list(values)
        for index, (tensor, value) in enumerate(zip(op.outputs, values, strict=False)):
            if tensor in self.plan.watched and value.is_floating_point():
                if not value.requires_grad:
                    kept[index] = value.detach().requires_grad_()
                elif any(value is other for other in inputs):
                    kept[index] = value.view_as(value)
        self.values[op] = tuple(kept)

    def _is_dead(self, op: Operation) -> bool:
        if op.merges:
            return op.inputs[0].op in self._dead or any(c in self._dead for c in op.control_inputs)
        return any(needed in self._dead for needed in op.dependencies)


def _ordered(targets: Sequence[Operation], fed: frozenset[Operation]) -> list[Operation]:
    # Depth first, without recursion: graphs can be deep.
    order: list[Operation] = []
    done = set(fed)
    stack = list(reversed(targets))
    while stack:
        op = stack[-1]
        if op in done:
            stack.pop()
            continue
        missing = [needed for needed in op.dependencies if needed not in done]
        if missing:
            stack.extend(reversed(missing))
            continue
        order.append(op)
        done.add(op)
        stack.pop()
    return order


def _passed(run: Run, value: torch.Tensor) -> torch.Tensor:
    return value


def _composed(outer: Compute, inner: Compute) -> Compute:
    return lambda run, *values: outer(run, inner(run, *values))


def _last_uses(steps: Sequence[Operation], kept: frozenset[Operation]) -> list[list[Operation]]:
    """Return, for each step, the operations whose values no later step reads."""
    finished: list[list[Operation]] = []
    seen: set[Operation] = set(kept)
    for op in reversed(steps):
        last = [source for source in dict.fromkeys(t.op for t in op.inputs) if source not in seen]
        if op not in seen:
            last.append(op)
        seen.update(last)
        finished.append(last)
    finished.reverse()
    return finished


def _written(steps: Sequence[Operation], role: str) -> frozenset[str]:
    return frozenset(tensor.op.name for op in steps if op.role == role for tensor in op.writes)


def _late_readers(steps: Sequence[Operation]) -> dict[Operation, frozenset[Tensor]]:
    """Return, by operation, the variables that it reads after something it waits for has changed them."""
    nothing: frozenset[Tensor] = frozenset()
    changed: dict[Operation, frozenset[Tensor]] = {}
    late: dict[Operation, frozenset[Tensor]] = {}
    for op in steps:
        before = nothing.union(*(changed[d] for d in op.dependencies if d in changed))
        if before and op.role != "variable":
            found = before.intersection(op.inputs)
            if found and not isinstance(op, Gradients):
                late[op] = found
        after = before.union(op.writes)
        if after:
            changed[op] = after
    return late


def _differentiated_again(gradients: Sequence[Gradients]) -> frozenset[Operation]:
    """Return those gradients that another one differentiates, which have to stay differentiable."""
    again: set[Operation] = set()
    for outer in gradients:
        seen: set[Operation] = set()
        stack = [t.op for t in outer.targets]
        while stack:
            op = stack.pop()
            if op in seen:
                continue
            seen.add(op)
            if isinstance(op, Gradients):
                again.add(op)
            stack.extend(t.op for t in op.inputs)
    return frozenset(again)
