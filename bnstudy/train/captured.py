"""A step without Python in it: on a GPU, a function captured once in a CUDA graph and replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch

WARM_UP = 3  # plain calls before a capture, in which libraries choose kernels and allocate their workspaces


class Captured:
    """Calls ``function(size)``; on a GPU, replays a CUDA graph of it once it has been called a few times.

    The function must find everything that changes from call to call in tensors of the device, and leave
    everything there; what else it does happens at capture only. Each ``size`` has a graph of its own. On a
    CPU it is called each time, with the same effect.

    Args:
        function: what to call, with a size.
        device: where its tensors live.
        generators: the generators it draws from, on that device; each replay draws on.
    """

    def __init__(
        self,
        function: Callable[[int], None],
        device: torch.device,
        generators: Sequence[torch.Generator] = (),
    ) -> None:
        self._function = function
        self._device = device
        self._generators = list(generators)
        self._calls: Counter[int] = Counter()
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        # Plain calls run on it too, so that autograd's nodes don't bind to the default stream.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def __call__(self, size: int) -> None:
        """Do what ``function(size)`` does."""
        if self._stream is None:
            self._function(size)
            return
        self._calls[size] += 1
        if self._calls[size] <= WARM_UP:
            here = torch.cuda.current_stream(self._device)
            self._stream.wait_stream(here)
            with torch.cuda.stream(self._stream):
                self._function(size)
            here.wait_stream(self._stream)
            return
        if size not in self._graphs:
            self._graphs[size] = self._capture(size, self._stream)
        self._graphs[size].replay()

    def _capture(self, size: int, stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph, stream=stream):  # records; the replay that follows is what runs
            self._function(size)
        return graph
