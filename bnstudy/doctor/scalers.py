"""Steps that a loss scaler skips: the optimiser's own hooks don't hear of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


class SkippedSteps:
    """Call ``skipped(stepped)`` where ``GradScaler.step`` found infinite gradients of one of ``optimizers``.

    ``stepped`` is whether ``steps()``, the number of steps so far, grew: fused optimisers are called
    and leave it out themselves. The scaler's state tells, what it found infinite for this optimiser. The
    class's method is wrapped in this context alone. No generator: whoever keeps a model's state walks
    through what its hooks hold, and a generator can't be put back.
    """

    def __init__(
        self, optimizers: list[Optimizer], skipped: Callable[[bool], None], steps: Callable[[], int]
    ) -> None:
        self._watched = {id(optimizer) for optimizer in optimizers}
        self._skipped, self._steps = skipped, steps
        self._own: Any = None

    def __enter__(self) -> None:
        own, watched, skipped, steps = vars(GradScaler)["step"], self._watched, self._skipped, self._steps

        @functools.wraps(own)
        def step(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            before = steps()
            result = own(scaler, optimizer, *args, **kwargs)
            if scaler.is_enabled() and (not watched or id(optimizer) in watched):
                state = scaler._per_optimizer_states.get(id(optimizer), {})
                found = state.get("found_inf_per_device", {}).values()
                if any(bool(value) for value in found if isinstance(value, Tensor)):
                    skipped(steps() > before)
            return result

        self._own = own
        GradScaler.step = step  # type: ignore[method-assign, assignment]

    def __exit__(self, *_: object) -> None:
        GradScaler.step = self._own  # type: ignore[method-assign]
