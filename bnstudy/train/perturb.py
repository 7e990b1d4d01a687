"""Random perturbations of a network in training: dropout, and noise behind batch normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Perturbation = Callable[[Tensor, torch.Generator | None], Tensor]


class Perturb(nn.Module):
    """Perturbs [N, R * C, ...] in training, the channels of each of R members from a generator of its own.

    In evaluation mode it is the identity.

    Args:
        perturbation: ``(x [N, C, ...], generator) -> [N, C, ...]``, or one a member.
        generators: one a member, on the device of the input; None is PyTorch's default generator.
    """

    def __init__(
        self,
        perturbation: Perturbation | Sequence[Perturbation],
        generators: Sequence[torch.Generator | None],
    ) -> None:
        super().__init__()
        self.generators = list(generators)
        each = [perturbation] * len(generators) if callable(perturbation) else list(perturbation)
        self.perturbations = each

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` perturbed, or ``x`` itself in evaluation mode."""
        if not self.training:
            return x
        parts = zip(x.chunk(len(self.generators), dim=1), self.perturbations, self.generators, strict=True)
        return torch.cat([perturb(part, generator) for part, perturb, generator in parts], 1)


def dropped(x: Tensor, generator: torch.Generator | None, *, probability: float) -> Tensor:
    """Return ``x`` [N, C, ...] with a value 0 with ``probability``, else scaled up so as to keep the mean."""
    n, channels, *space = x.shape
    # Drawn with the channels last, so that what is dropped does not depend on x's memory format.
    keep = torch.empty(n, *space, channels, dtype=x.dtype, device=x.device)
    keep.bernoulli_(1.0 - probability, generator=generator)
    return x * keep.movedim(-1, 1) * (1.0 / (1.0 - probability))
