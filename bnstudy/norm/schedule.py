"""When moving averages absorb: the two schedules that need a word from the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from bnstudy.norm.layer import BatchNorm


def apply_updates(model: nn.Module) -> int:
    """Let every ``updates="with_step"`` layer absorb the moments of its last forward; return how many did.

    The moments are of the weights before the optimiser's step, whether this is called before
    or after it: TensorFlow's ``UPDATE_OPS`` under ``control_dependencies``. Forgetting the call
    leaves the averages at their initial values. A layer that had no forward in training mode since the last
    call has nothing to absorb; ``RuntimeError`` if no layer in training mode ever had one.

    Each step counts once, and only if this is called for it. That cures two faults of averages that move in
    the forward. Under activation checkpointing (``torch.utils.checkpoint``), whose backward runs the forward
    again, they move twice. Under loss scaling (``torch.amp.GradScaler``), infinite activations of a step that
    the scaler skips stay in them for good; call this behind ``scaler.update()``, where the scale didn't fall.
    """
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.updates == "with_step"]
    if any(layer.training for layer in layers) and not any(layer.batch_moments for layer in layers):
        raise RuntimeError("no batch moments yet; run a forward in training mode first")
    pending = [layer for layer in layers if layer.pending]
    for layer in pending:
        layer.absorb_moments()
    return len(pending)


@contextmanager
def update_pass(model: nn.Module) -> Iterator[None]:
    """Return a context in which forwards of ``updates="after_step"`` layers absorb their moments.

    Run the same batch again in it after the optimiser's step: the averages then see the *new*
    weights, as when TensorFlow's ``UPDATE_OPS`` run in a ``session.run`` of their own.
    """
    layers = [m for m in model.modules() if isinstance(m, BatchNorm) and m.updates == "after_step"]
    for layer in layers:
        layer.absorbing = True
    try:
        yield
    finally:
        for layer in layers:
            layer.absorbing = False
