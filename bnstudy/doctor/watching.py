"""``doctor.watch``: what only shows in training, seen around any loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils import _pytree as pytree

from bnstudy.doctor.aside import Aside, weakly
from bnstudy.doctor.history import Break, History, LayerHistory, Pass
from bnstudy.doctor.images import size_of
from bnstudy.doctor.layers import moves, named_batch_norms
from bnstudy.doctor.registry import check_ignored, findings
from bnstudy.doctor.report import Report
from bnstudy.doctor.scalers import SkippedSteps
from bnstudy.doctor.structure import (
    compiled_of,
    entries_of,
    hooks_of,
    owners_of,
    world_of,
)
from bnstudy.doctor.untouched import DoctorError
from bnstudy.probes.moment import underlying

# What a compiled module doesn't show: hooks added after compilation never fire.
UNSEEN = ("double-update of which kind", "tiny-batch", "last-batch", "redundant-bias")


def watch(model: nn.Module, *optimizers: Optimizer, ignore: Iterable[str] = ()) -> Watch:
    """Return a context around training that sees what batch norm goes through.

    Any loop, framework and batch structure; several optimisers for GANs; accumulation, loss scaling,
    checkpointing, DDP. Modules compiled already are seen through their counters alone, which the report says.

    Args:
        model: the module, wrapped or not; a ``ModuleList`` for several.
        optimizers: all that step in the body. Without any, a step is a change of the parameters.
        ignore: suppressions, as of ``scan``.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: ``ignore`` has a code that doesn't exist.
    """
    for optimizer in optimizers:
        if not isinstance(optimizer, Optimizer):
            # Wrappers (accelerate, Lightning) keep the optimiser under this name.
            inner = getattr(optimizer, "optimizer", None)
            if not isinstance(inner, Optimizer):
                kind = type(optimizer).__name__
                raise TypeError(f"optimizers has a {kind}; allowed: torch.optim.Optimizer")
    inside = [o if isinstance(o, Optimizer) else o.optimizer for o in optimizers]
    underlying(model)
    return Watch(model, inside, check_ignored(ignore))


class Watch:
    """The context that ``watch`` returns; ``report()`` may be called inside it and after it."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        ignored: tuple[str, ...],
    ) -> None:
        # A compiled model's wrapper is what the user calls.
        # A compiled model's wrapper is what the user calls.
        self._outer, model = model, underlying(model)
        self._model, self._optimizers, self._ignored = model, optimizers, ignored
        self._compiled = compiled_of(self._outer)
        owners = owners_of(model, optimizers)
        self.history = History(
            [
                LayerHistory(n, m, owners[m], m in self._compiled)
                for n, m in named_batch_norms(model)
                if moves(m)
            ]
        )
        self._parameters = [p for p in model.parameters() if not is_lazy(p)]
        self._names = {id(p): n for n, p in model.named_parameters()}
        self._pass: Pass | None = None
        self._depth = self._backwards = self._inside_steps = 0
        self._aside = Aside()
        self._traced: set[int] = set()
        self._handles: list[Any] = []
        self._sums: list[tuple[int, bool, Tensor]] = []  # step, whether it was skipped, of all statistics
        self._versions = self._version()
        self._entered: set[nn.Module] = set()
        self._counts: dict[LayerHistory, int] = {}
        self._start = [p.detach().flatten()[:1].clone() for p in self._parameters]

    def __enter__(self) -> Watch:
        if self._handles:
            raise RuntimeError("the watch is on already; allowed: one `with` at a time")
        self._before = hooks_of(self._outer)
        layers = self.history.layers
        norms = {record.module: number for number, record in enumerate(layers) if not record.compiled}
        entries = entries_of(self._outer, set(norms), self._compiled)
        self._entered = {m for entry in entries for m in entry.modules()}
        for module in entries:
            self._handles.append(module.register_forward_pre_hook(weakly(self, "_enter")))
            self._handles.append(module.register_forward_hook(weakly(self, "_leave"), always_call=True))
        for module, number in norms.items():
            # Checkpointing leaves the last forward that it needs by an exception, after the update.
            observe = weakly(self, "_observe", number)
            self._handles.append(module.register_forward_hook(observe, always_call=True))
        for number, optimizer in enumerate(self._optimizers):
            self._handles.append(optimizer.register_step_pre_hook(weakly(self, "_stepping")))
            self._handles.append(optimizer.register_step_post_hook(weakly(self, "_stepped", number)))
        self._scalers = SkippedSteps(self._optimizers, self._skip, lambda: self.history.steps)
        self._scalers.__enter__()
        self._aside.__enter__()
        self._recount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settle()
        self._aside.__exit__()
        self._scalers.__exit__()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if kind is None and hooks_of(self._outer) - self._before:
            raise DoctorError("the doctor left hooks on the model; please report this")

    def report(self) -> Report:
        """Return what was seen so far."""
        self._settle()
        history = self.history
        history.others_learnt = any(
            not torch.equal(p.detach().flatten()[:1], s)
            for p, s in zip(self._parameters, self._start, strict=True)
        )
        found = findings("watch", history)
        steps = f"{type(self._model).__name__} over {history.steps} optimiser steps"
        return Report(
            "watch", steps, found, len(history.layers), remarks=self._remarks(), ignored=self._ignored
        )

    def _remarks(self) -> list[str]:
        said = []
        compiled = [record.name for record in self.history.layers if record.compiled]
        if compiled:
            said.append(
                f"{len(compiled)} layers are compiled, so that only their counters, modes and statistics "
                f"were "
                f"seen; not seen: {', '.join(UNSEEN)}. Watch before torch.compile to see all."
            )
        if not self.history.steps:
            said.append("No optimiser step was seen: give watch() the optimisers that step in its body.")
        if self.history.skipped:
            said.append(f"A loss scaler skipped {self.history.skipped} steps.")
        if not self._optimizers and self.history.steps:
            said.append("No optimiser was given: a step is a change of the parameters between two forwards.")
        return said

    # The passes: the outermost call of a module that holds batch norm is one.

    def _enter(self, module: nn.Module, args: Any) -> None:
        del module, args
        if self._aside:
            return
        if self._depth == 0:
            self._begin()
        self._depth += 1

    def _begin(self) -> None:
        if not self._optimizers:
            self._look_for_step()
        self._recount(again=True)
        self._pass = Pass(torch.is_grad_enabled(), _in_backward(), self._inside_steps > 0)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        del module
        if self._aside:
            return
        self._depth -= 1
        if self._depth == 0 and self._pass is not None:
            self._recount(images=size_of(args) or 0)
            if self._pass.gradient and not self._pass.inside:
                self._listen(output)
            self._pass = None

    def _listen(self, output: Any) -> None:
        leaves = pytree.tree_leaves(dict(output) if isinstance(output, Mapping) else output)
        for leaf in leaves:
            if isinstance(leaf, Tensor) and leaf.requires_grad and leaf.grad_fn is not None:
                leaf.register_hook(self._backward)  # type: ignore[no-untyped-call]
                return

    def _backward(self, gradient: Tensor) -> None:
        del gradient
        self._backwards += 1
        for record in self.history.layers:
            record.backward()

    def _observe(self, number: int, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        # Left by an exception that isn't checkpointing's, it moved nothing that training goes on with.
        if self._aside:
            return
        record = self.history.layers[number]
        moved = record.counter_moved()
        if output is None and not (moved and _in_backward()):
            return
        x = args[0] if args and isinstance(args[0], Tensor) else None
        images = values = 0
        if x is not None:
            channels = getattr(module, "num_features", 0) or x.shape[1]
            world = world_of(module)
            images, values = x.shape[0] * world, x.numel() // max(channels, 1) * world
        alone = self._pass is None
        if alone:
            self._begin()
        assert self._pass is not None
        record.call(self._pass, images, values, self._backwards)
        if number not in self._traced and module.training and x is not None and x.requires_grad:
            self._traced.add(number)
            self._trace(x)
        if alone:
            if self._pass.gradient and not self._pass.inside:
                self._listen(output)
            self._pass = None

    def _trace(self, x: Tensor) -> None:
        """Note the bias of the operation that gave ``x``, if a convolution or linear layer did."""
        node = x.grad_fn
        while node is not None and node.name() in ("ToCopyBackward0", "ViewBackward0", "TransposeBackward0"):
            node = node.next_functions[0][0]
        if node is None or node.name() not in ("ConvolutionBackward0", "AddmmBackward0"):
            return
        for function, _ in node.next_functions:
            parameter = getattr(function, "variable", None)
            if isinstance(parameter, Tensor) and parameter.dim() == 1:
                name = self._names.get(id(parameter))
                if name is not None:
                    self.history.biases[name.rpartition(".")[0]] = parameter.numel()

    # The steps.

    def _stepping(self, *_: Any) -> None:
        self._inside_steps += 1

    def _stepped(self, number: int, *_: Any) -> None:
        self._inside_steps = 0
        self._step(number)

    def _step(self, number: int | None) -> None:
        history = self.history
        self._recount(again=True)
        history.steps += 1
        for record in history.layers:
            if record.compiled and record.window.training + record.window.resting == 0:
                record.window.resting += not record.module.training
            if number is None or not record.owners or number in record.owners:
                record.step()
            else:
                record.other_step()
        self._check_finite(skipped=False)

    def _skip(self, stepped: bool) -> None:
        """Note a step that a loss scaler left out; its forward moved the statistics all the same.

        ``stepped`` is whether the optimiser was called and left it out itself, as fused ones do.
        """
        self.history.skipped += 1
        if not stepped:
            self._check_finite(skipped=True)

    def _look_for_step(self) -> None:
        version = self._version()
        if version != self._versions:
            self._versions = version
            self._step(None)

    def _version(self) -> int:
        return sum(p._version for p in self._parameters)

    def _settle(self) -> None:
        if self._handles and not self._optimizers:
            self._look_for_step()
        self._recount(again=True)
        self._read_sums()

    def _check_finite(self, skipped: bool) -> None:
        if self.history.broken is not None:
            return
        buffers = [b for record in self.history.layers for b in record.statistics]
        if not buffers:
            return
        by_device: dict[Any, list[Tensor]] = {}
        for buffer in buffers:
            by_device.setdefault(buffer.device, []).append(buffer.detach().flatten())
        for group in by_device.values():
            total = torch.cat(group).sum(dtype=torch.float64)
            self._sums.append((self.history.steps + skipped, skipped, total))
        # Reading it waits for a device; a NaN stays, so that it may be read later.
        if all(device.type == "cpu" for device in by_device) or len(self._sums) >= 64:
            self._read_sums()

    def _read_sums(self) -> None:
        sums, self._sums = self._sums, []
        if self.history.broken is not None or not sums:
            return
        finite = torch.stack([total.cpu() for *_, total in sums]).isfinite().tolist()
        for (step, skipped, _), good in zip(sums, finite, strict=True):
            if not good:
                names = [
                    r.name
                    for r in self.history.layers
                    if not all(bool(b.isfinite().all()) for b in r.statistics)
                ]
                before = {r.name for r in self.history.layers if _broken(r.start.mean, r.start.variance)}
                fresh = tuple(name for name in names if name not in before)
                if fresh:
                    self.history.broken = Break(step, fresh, skipped)
                return

    # Compiled layers, by their counters.

    def _recount(self, again: bool = False, images: int = 0) -> None:
        if not self._compiled:
            return
        for record in self.history.layers:
            if not record.compiled:
                continue
            count = getattr(record.module, "num_batches_tracked", None)
            if not isinstance(count, Tensor) or count.device.type != "cpu":
                continue
            now = int(count)
            moved = now - self._counts.get(record, now)
            self._counts[record] = now
            if moved <= 0:
                continue
            if again and record.module in self._entered:
                record.window.again += moved
                continue
            # A module that compiled itself is called unheard: of its forwards only the number is known.
            seen = self._pass or Pass(gradient=True, inside=False)
            for _ in range(moved):
                record.call(seen, images, 0, self._backwards)


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1


def _broken(*tensors: Tensor | None) -> bool:
    return any(t is not None and not bool(t.isfinite().all()) for t in tensors)
