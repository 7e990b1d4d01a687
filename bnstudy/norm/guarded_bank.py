"""The bank that users get: that of ``bnstudy.norm.bank``, which refuses what layers don't let it see.

Training takes the one in the module: its networks are known.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn

from bnstudy.norm import bank
from bnstudy.norm.layer import BatchNorm


class StatisticsBank(bank.StatisticsBank):  # noqa: D101
    __doc__ = f"""{bank.StatisticsBank.__doc__}
    ``update()`` raises ``RuntimeError``, too, where a layer of PyTorch's moved its averages more often than
    it could be seen to: ``torch.utils.checkpoint`` with ``use_reentrant=False`` may end a forward early.
    """

    _tracked: list[int | None]
    _ended: list[int]

    def update(self) -> None:
        """Absorb the layers' batch moments: ``value -= (value - batch) * (1 - decay)``.

        Raises ``RuntimeError`` before the first forward in training mode, and where a forward was missed.
        """
        if self._steps.is_cuda and torch.cuda.is_current_stream_capturing():
            super().update()  # what a graph captures can't be looked at
            return
        super().update()
        for name, first, last, seen in zip(
            self.names, self._tracked, self._counts(), self._ended, strict=True
        ):
            moved = 0 if first is None or last is None else last - first
            # More than twice as many is no forward that was run again, but another count that was loaded.
            if 0 < seen < moved <= 2 * seen:
                raise RuntimeError(
                    f"{name} moved its averages {moved} times since the last update(), of which {seen} could "
                    "be seen, as where torch.utils.checkpoint(use_reentrant=False) runs a forward again and "
                    "ends it early; allowed: use_reentrant=True, or layers of this package (bnstudy.convert)"
                )
        self._begin()

    def forget(self) -> None:
        """Forget the forwards since the last ``update()``: they were no training."""
        super().forget()
        self._begin()

    def _follow(self) -> None:
        super()._follow()
        self._ended = [0] * len(self.layers)
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, BatchNorm):
                handle = layer.register_forward_hook(_Hook(self._ended, i))
                weakref.finalize(self, handle.remove)
        self._begin()

    def _begin(self) -> None:
        self._tracked = self._counts()
        self._ended[:] = [0] * len(self._ended)

    def _counts(self) -> list[int | None]:
        tracked = (None if isinstance(m, BatchNorm) else m.num_batches_tracked for m in self.layers)
        return [None if count is None else int(count) for count in tracked]


class _Hook:
    """Counts a layer's forwards in training mode that come to their end; of a copy, for nobody."""

    def __init__(self, counts: list[int] | None = None, place: int = 0) -> None:
        self._counts, self._place = counts, place

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def __call__(self, layer: nn.Module, args: Any, output: Any) -> None:
        if self._counts is not None:
            self._counts[self._place] += layer.training

    def __reduce__(self) -> tuple[type[_Hook], tuple[()]]:
        return _Hook, ()
