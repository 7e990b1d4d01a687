"""What stands in front of a batch-norm layer, as far as the order of registration tells."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from bnstudy.doctor.layers import is_batch_norm


def in_front(model: nn.Module) -> dict[nn.Module, tuple[str, nn.Module]]:
    """Return, for a batch-norm layer, the convolution or linear layer registered right before it.

    Only one of as many outputs as the layer has channels, and with none that holds parameters in between:
    what a forward does with them isn't known without a pass.
    """
    found: dict[nn.Module, tuple[str, nn.Module]] = {}
    last: tuple[str, nn.Module] | None = None
    for name, module in model.named_modules():
        if is_batch_norm(module):
            if last is not None and _outputs(last[1]) == getattr(module, "num_features", None):
                found[module] = last
            last = None
        elif isinstance(module, (_ConvNd, nn.Linear)):
            last = (name, module)
        elif any(True for _ in module.parameters(recurse=False)):
            last = None
    return found


def _outputs(module: nn.Module) -> int | None:
    width = getattr(module, "out_channels", getattr(module, "out_features", None))
    return width if isinstance(width, int) else None


def bias_of(module: nn.Module) -> Tensor | None:
    """Return a layer's bias, or None."""
    bias = getattr(module, "bias", None)
    return bias if isinstance(bias, Tensor) else None
