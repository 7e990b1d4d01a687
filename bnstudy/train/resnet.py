"""A residual network of eight layers for 32x32 images, as a second opinion beside the tutorial's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnstudy.norm.kernel import statistics_dtype
from bnstudy.train.networks import Asked, Network

WIDTHS = (16, 32, 64)


class Conv(nn.Conv2d):
    """A SAME convolution that computes in its input's dtype, over float32 weights."""

    def __init__(self, channels_in: int, channels_out: int, size: int, stride: int, asked: Asked) -> None:
        # Batch normalization would cancel a bias.
        super().__init__(
            channels_in,
            channels_out,
            size,
            stride=stride,
            padding=size // 2,
            bias=asked.norm == "none",
            groups=asked.members,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``x`` [N, C_in, H, W]: [N, C_out, H / stride, W / stride]."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        weight = self.weight.to(x.dtype)
        return F.conv2d(x, weight, bias, self.stride, self.padding, groups=self.groups)


class Residual(nn.Module):
    """Two 3x3 convolutions, and a way around them: the input, or a 1x1 convolution where shapes differ."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, asked: Asked) -> None:
        super().__init__()
        self.conv1 = Conv(channels_in, channels_out, 3, stride, asked)
        self.norm1 = asked.norm_layer(channels_out)
        self.conv2 = Conv(channels_out, channels_out, 3, 1, asked)
        self.norm2 = asked.norm_layer(channels_out)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.around = nn.Sequential(
                Conv(channels_in, channels_out, 1, stride, asked), asked.norm_layer(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C_out, H / stride, W / stride] for ``x`` [N, C_in, H, W]."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.around(x))


class ResNet8(Network):
    """A 3x3 convolution to 16 channels, three residual blocks of 16, 32 and 64 channels, and a linear layer.

    Weights start from a normal of variance 2 / fan-in (He et al. 2015), biases at 0. Input
    [N, R * channels_in, H, W]; output logits [N, R * classes] in float32 or better.

    Source: He et al. 2016 (arXiv 1512.03385), section 4.2, with n = 1 and 1x1 convolutions in the shortcuts.
    """

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.members = asked.members
        first, *widths = (asked.members * width for width in (WIDTHS[0], *WIDTHS))
        self.stem = Conv(asked.members * asked.channels_in, first, 3, 1, asked)
        self.norm = asked.norm_layer(first)
        self.blocks = nn.Sequential()
        channels = first
        for i, width in enumerate(widths):
            self.blocks.append(Residual(channels, width, 1 if i == 0 else 2, asked))
            channels = width
        self.linear = nn.Conv2d(channels, asked.members * asked.classes, 1, groups=asked.members)
        _initialise(self, asked)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, R * classes] for images [N, R * channels_in, H, W]."""
        return self.finish(self.start(x))

    def start(self, x: Tensor) -> Tensor:
        """Do what no normalisation statistics enter: the first convolution."""
        out: Tensor = self.stem(x)
        return out

    def finish(self, x: Tensor) -> Tensor:
        """Return the logits from what ``start`` gave."""
        x = self.blocks(F.relu(self.norm(x)))
        x = x.to(statistics_dtype(x.dtype)).mean(dim=(2, 3), keepdim=True)
        logits: Tensor = self.linear(x)
        return logits.flatten(1)


@torch.no_grad()
def _initialise(net: nn.Module, asked: Asked) -> None:
    for module in net.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        fan_in = module.weight[0].numel()
        for i, generator in enumerate(asked.generators):
            module.weight.chunk(asked.members)[i].normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.chunk(asked.members)[i].zero_()
