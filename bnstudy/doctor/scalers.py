"""Steps that a loss scaler skips: the optimiser's own hooks don't hear of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


@contextmanager
def skipped_steps(
    optimizers: list[Optimizer], skipped: Callable[[bool], None], steps: Callable[[], int]
) -> Iterator[None]:
    """Call ``skipped(stepped)`` where ``GradScaler.step`` found infinite gradients of one of ``optimizers``.

    ``stepped`` is whether ``steps()``, the number of steps so far, grew: fused optimisers are called
    and leave it out themselves. The scaler's state tells, what it found infinite for this optimiser. The
    class's method is wrapped in this context alone.
    """
    own = vars(GradScaler)["step"]
    watched = {id(optimizer) for optimizer in optimizers}

    @functools.wraps(own)
    def step(self: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        before = steps()
        result = own(self, optimizer, *args, **kwargs)
        if self.is_enabled() and (not watched or id(optimizer) in watched):
            state = self._per_optimizer_states.get(id(optimizer), {})
            found = state.get("found_inf_per_device", {}).values()
            if any(bool(value) for value in found if isinstance(value, Tensor)):
                skipped(steps() > before)
        return result

    GradScaler.step = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        GradScaler.step = own  # type: ignore[method-assign]
