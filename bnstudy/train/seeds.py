"""Random numbers of a run: one independent generator for each purpose of its seed."""

from __future__ import annotations

import numpy as np
import torch

INITIALISATION, ORDER, EVALUATION_ORDER, SUBSET, NOISE, TEST_ORDER, HELD_OUT, VIEW = range(8)


def generator(seed: int, purpose: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator for one purpose of one seed, independent of every other."""
    state = np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) >> 1)
