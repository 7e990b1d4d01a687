"""What was seen of each batch-norm layer in training, counted by optimiser step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bnstudy.doctor.layers import Layer, of_module, statistics
from bnstudy.probes.calls import version_of

# This package's layer answers to these names, too.
STATISTICS = ("running_mean", "running_var")

BEHIND = 64  # steps whose counters are read together
FEW_IMAGES = 4  # in a forward
FEW_VALUES = 32  # a channel


@dataclass
class Pass:
    """An outermost call of a watched module: one forward of the user's.

    ``inside`` is whether it happened within a backward pass, as where checkpointing computes again;
    ``closure`` whether within an optimiser's step.
    """

    gradient: bool
    inside: bool
    closure: bool = False
    called: set[int] = field(default_factory=set)


@dataclass
class Window:
    """What happened to one layer since the last step of the optimiser that owns it."""

    training: int = 0  # calls in training mode with gradient
    resting: int = 0  # calls in eval mode with gradient
    again: int = 0  # calls in training mode inside a backward pass
    passes: int = 0  # outermost forwards with gradient that called it in training mode
    calls: int = 0  # its calls in those
    first: int = 0  # calls without gradient that checkpointing repeated in a backward pass
    alone: int = 0  # those that nothing repeated
    closures: int = 0  # passes within the optimiser's step
    added: bool = False  # whether a backward pass added to gradients that were there
    other: bool = False  # whether another optimiser stepped since its last call
    adversary: bool = False  # whether another optimiser stepped between two calls
    backwards: set[int] = field(default_factory=set)  # how many backward passes had been at each of those
    images: int = 0  # the smallest batch; 0: not seen
    values: int = 0  # the fewest values a channel; 0: not seen


class LayerHistory:
    """The counts of one layer over all windows; a window is a step of an optimiser that owns the layer."""

    def __init__(self, name: str, module: nn.Module, owners: frozenset[int], compiled: bool) -> None:
        self.name, self.module, self.owners, self.compiled = name, module, owners, compiled
        self.start = _snapshot(of_module(name, module))
        # TensorFlow's schedules absorb the moments apart from the forward.
        self.absorbs = getattr(module, "updates", "in_place") == "in_place"
        self._names = [name for name in STATISTICS if isinstance(getattr(module, name, None), Tensor)]
        now = self.now
        self._affine = [tensor for tensor in (now.weight, now.bias) if tensor is not None]
        self.window = Window()
        self.windows = 0  # with a forward that gradients flow through
        self.trained = 0  # of them, those with a forward in training mode
        self.resting_first = 0  # only in eval mode, before any in training mode
        self.resting_after = 0  # only in eval mode, after one in training mode
        self.longest_rest = 0  # the most of those in a row
        self.unfrozen = 0  # windows at whose step scale or offset could learn
        self.steps = 0  # all of its windows, also those without a call
        # Windows with such updates.
        self.again = self.shared = self.accumulated = self.several = self.closures = 0
        self._updates = 0
        self._counter = self._count()
        self._written: tuple[int, int] | None = None
        self._counters: list[tuple[int, bool, Tensor | None]] = []  # of steps that weren't added up yet
        self.few_images = self.few_values = 0
        self.images: Counter[int] = Counter()  # in forwards that train it
        self.values: Counter[int] = Counter()
        self.validated = 0  # windows before which at least two passes without gradient moved the statistics
        self.validation_passes = 0
        self.streak = 0  # such passes just now, one after the other
        self._pending = 0
        self._counted: int | None = None
        self._resting_now = 0
        self.gradient_seen = False

    @property
    def statistics(self) -> list[Tensor]:
        """Return the running mean and variance as they are, if there are any."""
        found = (getattr(self.module, name) for name in self._names)
        return [tensor for tensor in found if isinstance(tensor, Tensor)]

    @property
    def affine(self) -> bool:
        """Return whether the layer has a scale or an offset."""
        return bool(self._affine)

    def call(self, seen: Pass, images: int, values: int, backwards: int) -> None:
        """Count a forward of the layer."""
        if not self.module.training:
            if seen.gradient and not seen.inside:
                self.window.resting += 1
            return
        if seen.inside:
            self.window.again += 1
            # A reentrant checkpoint's first forward is without gradients, and moves the averages, too.
            repeated = self.window.alone > 0
            self.window.first += repeated
            self.window.alone -= repeated
            self.streak = 0
            return
        first = id(self) not in seen.called
        seen.called.add(id(self))
        self.window.adversary |= self.window.other and self.window.passes > 0
        self.window.other = False
        if not seen.gradient:
            self.window.alone += 1
            self._without_gradient(first)
            return
        self._close_streak()
        self.gradient_seen = True
        self.window.training += 1
        self.window.calls += 1
        self.window.passes += first
        self.window.closures += first and seen.closure
        self.window.backwards.add(backwards)
        if images:
            self.images[images] += 1
            self.window.images = min(self.window.images or images, images)
        if values:
            self.values[values] += 1
            self.window.values = min(self.window.values or values, values)

    def counter_moved(self) -> bool:
        """Return whether the layer's counter was written since this was asked; true without one."""
        count = getattr(self.module, "num_batches_tracked", None)
        if not isinstance(count, Tensor):
            return True
        before, self._written = self._written, (id(count), version_of(count))
        return before != self._written

    def _without_gradient(self, first: bool) -> None:
        if self.start.mean is None or not getattr(self.module, "track_running_stats", True):
            return
        momentum = getattr(self.module, "momentum", 0.1)
        count = getattr(self.module, "num_batches_tracked", None)
        # A recalibration sets the momentum to None or 1, or starts from new statistics.
        anew = momentum is None or momentum == 1 or (isinstance(count, Tensor) and int(count) == 1)
        if momentum == 0 or anew or not first:
            self.streak = 0 if anew else self.streak
            return
        # A forward whose counter stands still moved nothing.
        now = int(count) if isinstance(count, Tensor) else None
        if self.streak and now is not None and now == self._counted:
            return
        self._counted = now
        self.streak += 1

    def _close_streak(self) -> None:
        self._pending += self._moved_for_good
        self.streak = 0

    @property
    def _moved_for_good(self) -> int:
        """Return how many passes without gradient, at least two, moved the statistics and weren't undone."""
        if self.streak < 2:
            return 0
        count = getattr(self.module, "num_batches_tracked", None)
        undone = self._counted is not None and isinstance(count, Tensor) and int(count) < self._counted
        return 0 if undone else self.streak

    def other_step(self) -> None:
        """Note a step of an optimiser that doesn't own the layer."""
        self._close_streak()
        self.window.other = True

    def backward(self) -> None:
        """Note the beginning of a backward pass: whether it adds to gradients that are there."""
        if self.window.added or len(self.window.backwards) < 2:
            return
        known = [p for p in self._affine if p.requires_grad]
        self.window.added = not known or any(p.grad is not None and bool((p.grad != 0).any()) for p in known)

    def step(self) -> None:
        """Close the window: an optimiser that owns the layer stepped."""
        self._close_streak()
        window, self.window = self.window, Window()
        self.steps += 1
        free = any(parameter.requires_grad for parameter in self._affine)
        self.unfrozen += free
        if self._pending:
            self.validated += 1
            self.validation_passes += self._pending
            self._pending = 0
        self._counters.append((window.calls + window.again + window.first, window.alone > 0, self._count()))
        if len(self._counters) >= BEHIND:
            self._add_up()
        # Reentrant checkpointing of a whole model has gradients in the backward pass alone.
        if window.training or window.resting or window.again:
            self._close(window, free or not self._affine)

    def _close(self, window: Window, free: bool) -> None:
        self.windows += 1
        if window.training or window.again:
            self.trained += 1
            self._resting_now = 0
        elif self.trained and not free:
            self._resting_now = 0  # frozen on purpose
        elif self.trained:
            self.resting_after += 1
            self._resting_now += 1
            self.longest_rest = max(self.longest_rest, self._resting_now)
        else:
            self.resting_first += 1
        self.few_images += 0 < window.images < FEW_IMAGES
        self.few_values += 0 < window.values < FEW_VALUES
        if not self.absorbs:
            return
        self.again += window.again > 0
        self.shared += window.calls > window.passes
        if window.closures > 1:
            self.closures += 1
        elif window.passes > 1:
            # Backward passes in between, each on top of the last's gradients. Else one loss or one step of
            # several forwards; and what another optimiser trains against has real and made batches.
            added = len(window.backwards) > 1 and window.added and not window.adversary
            self.accumulated += added
            self.several += not added

    def _count(self) -> Tensor | None:
        """Return a copy of the layer's own counter; reading it waits for a device."""
        count = getattr(self.module, "num_batches_tracked", None)
        return count.detach().clone() if isinstance(count, Tensor) and count.numel() == 1 else None

    def _add_up(self) -> None:
        counters = [self._counter, *(count for *_, count in self._counters)]
        known = [count for count in counters if count is not None]
        values: list[int | None] = [None] * len(counters)
        if len(known) == len(counters) and len({count.device for count in known}) == 1:
            values = torch.stack(known).tolist()
        for (own, aside, _), before, after in zip(self._counters, values[:-1], values[1:], strict=True):
            # What a validation or a recalibration counts is no update of a step.
            known_so = before is not None and after is not None and after >= before and not aside
            self._updates += after - before if known_so else own  # type: ignore[operator]
        self._counter = counters[-1]
        self._counters.clear()

    @property
    def updates(self) -> int:
        """Return how often steps moved the averages: by the layer's own counter, or as calls were seen."""
        self._add_up()
        return self._updates

    @property
    def unfinished(self) -> int:
        """Return how many passes without gradient moved the statistics after the last step."""
        return self._pending + self._moved_for_good

    @property
    def now(self) -> Layer:
        """Return the layer as it is."""
        return of_module(self.name, self.module)

    @property
    def statistics_moved(self) -> bool:
        """Return whether the running statistics differ from those at the start."""
        before, after = statistics(self.start), statistics(self.now)
        if before is None or after is None:
            return False
        return not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))

    @property
    def affine_moved(self) -> bool:
        """Return whether scale or offset differ from those at the start."""
        now = self.now
        pairs = ((self.start.weight, now.weight), (self.start.bias, now.bias))
        return any(a is not None and b is not None and not torch.equal(a, b) for a, b in pairs)

    @property
    def usual_images(self) -> int:
        """Return the commonest number of images in a forward that trains it; 0 if none was seen."""
        return self.images.most_common(1)[0][0] if self.images else 0


@dataclass(frozen=True)
class Break:
    """The step at which statistics became NaN or infinite: its number, from 1, and the layers by name."""

    step: int
    layers: tuple[str, ...]
    skipped: bool


@dataclass
class History:
    """What ``watch`` saw.

    ``steps`` counts steps of all optimisers, ``skipped`` those that a loss scaler left out. ``biases``
    are the layers with a bias whose output went straight into batch norm, with how many numbers it has.
    """

    layers: list[LayerHistory] = field(default_factory=list)
    steps: int = 0
    skipped: int = 0
    others_learnt: bool = False
    broken: Break | None = None
    biases: dict[str, int] = field(default_factory=dict)


def _snapshot(layer: Layer) -> Layer:
    copies = {
        name: None if (tensor := getattr(layer, name)) is None else tensor.detach().clone()
        for name in ("mean", "variance", "weight", "bias")
    }
    return Layer(
        layer.name,
        **copies,
        count=layer.count,
        module=layer.module,
        training=layer.training,
        epsilon=layer.epsilon,
        momentum=layer.momentum,
    )
