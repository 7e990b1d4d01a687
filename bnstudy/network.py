"""The article's network, with every quirk of it a named option."""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnstudy.norm import BatchNorm, pooled

Norm = Literal["batch", "none"]
Initialisation = Literal["article", "default"]

WIDTHS = (64, 64, 32, 16)


class Conv3x3(nn.Conv2d):
    """A 3x3 SAME convolution that computes in its input's dtype, over float32 weights."""

    def __init__(self, channels_in: int, channels_out: int, bias: bool) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``x`` [N, C_in, H, W]: [N, C_out, H, W]."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.conv2d(x, self.weight.to(x.dtype), bias, padding=1)


class Block(nn.Module):
    """A 3x3 SAME convolution, normalisation, ReLU and 2x2 max pooling: one row of the article's table.

    Input [N, C_in, H, W]; output [N, C_out, H/2, W/2], or [N, C_out, H, W] without pooling.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, norm: nn.Module, bias: bool, relu: bool, pool: bool
    ) -> None:
        super().__init__()
        self.conv = Conv3x3(channels_in, channels_out, bias)
        self.norm = norm
        self.relu = relu
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, in the dtype of ``x``."""
        if self.pool and isinstance(self.norm, BatchNorm):
            return self.norm.pooled(self.conv(x), self.relu)
        if self.pool and isinstance(self.norm, nn.Identity):
            return max_pool_2x2(self.conv(x), self.relu)
        return self.finish(self.start(x))

    def start(self, x: Tensor) -> Tensor:
        """Do what comes before the normalisation and does not depend on its statistics."""
        x = self.conv(x)
        return max_pool_2x2(x) if self._pools_first() else x

    def finish(self, x: Tensor) -> Tensor:
        """Normalise, and do what comes after."""
        pools = self.pool and not self._pools_first()
        if pools and isinstance(self.norm, BatchNorm):
            return self.norm.pooled(x, self.relu)
        if self.relu and isinstance(self.norm, BatchNorm):
            return self.norm.rectified(x)
        x = self.norm(x)
        if self.relu:
            x = F.relu(x)
        return max_pool_2x2(x) if pools else x

    def _pools_first(self) -> bool:
        # A rising affine map and ReLU commute with a maximum, and touch a quarter of the values after it.
        if not self.pool:
            return False
        if isinstance(self.norm, BatchNorm):
            # In training the moments need the full map; a negative gamma would turn maxima into minima.
            return not self.norm.training and self.norm.gamma is None
        return isinstance(self.norm, nn.Identity)


def max_pool_2x2(x: Tensor, relu: bool = False) -> Tensor:
    """Take the largest of each 2x2 window of [N, C, H, W] (H and W even): [N, C, H/2, W/2]; then ReLU."""
    if pooled.serves(x):
        return pooled.relu_pool(x, relu)
    if torch.is_grad_enabled():
        x = F.max_pool2d(x, 2)
    else:
        # The same values; PyTorch's kernel also finds indices, which costs several times as much on a CPU.
        rows = torch.maximum(x[:, :, 0::2], x[:, :, 1::2])
        x = torch.maximum(rows[..., 0::2], rows[..., 1::2])
    return F.relu(x) if relu else x


class ArticleNet(nn.Module):
    """Five convolutions to ten logits, as the article's code runs (not as its comments say).

    Args:
        norm: ``"batch"`` for batch normalization after every convolution, or ``"none"``.
        relu_on_logits: conv5 is followed by a ReLU in the article, so that no logit is negative.
        conv_bias: a bias in every convolution, which batch normalization then cancels.
        initialisation: ``"article"``: weights from a normal of standard deviation 0.1 truncated at
            two, biases 0.1 (the ``init_cnn`` helpers that the article does not show; an assumption),
            or ``"default"``: PyTorch's.
        channels_in: channels of the input images.
        classes: number of classes.
        decay: decay of the layers' moving averages (the article's 0.9).
        epsilon: added to the variance (TensorFlow's default 0.001).
        scale: whether the layers have a gamma (the article's default: no).
        generator: source of the initial weights; the default generator if None.

    Input float or bfloat16 [N, channels_in, 32, 32]; output float32 logits [N, classes]. Weights stay
    float32; the convolutions compute in the input's dtype.
    """

    def __init__(
        self,
        *,
        norm: Norm = "batch",
        relu_on_logits: bool = True,
        conv_bias: bool = True,
        initialisation: Initialisation = "article",
        channels_in: int = 3,
        classes: int = 10,
        decay: float = 0.9,
        epsilon: float = 0.001,
        scale: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f"norm is {norm!r}; allowed: 'batch', 'none'")
        if initialisation not in ("article", "default"):
            raise ValueError(f"initialisation is {initialisation!r}; allowed: 'article', 'default'")
        widths = (channels_in, *WIDTHS, classes)
        last = len(WIDTHS)
        self.blocks = nn.Sequential()
        for i, (c_in, c_out) in enumerate(itertools.pairwise(widths)):
            layer = (
                BatchNorm(c_out, decay=decay, epsilon=epsilon, scale=scale)
                if norm == "batch"
                else nn.Identity()
            )
            relu = relu_on_logits or i < last
            block = Block(c_in, c_out, norm=layer, bias=conv_bias, relu=relu, pool=i < last)
            self.blocks.add_module(f"conv{i + 1}", block)
        _initialise(self, initialisation, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 logits [N, classes] for images [N, channels_in, 32, 32]."""
        return _logits(self.blocks(x))

    def start(self, x: Tensor) -> Tensor:
        """Do what no normalisation statistics enter, once for all evaluations that differ in them."""
        return self._block(0).start(x)

    def finish(self, x: Tensor) -> Tensor:
        """Return the logits from what ``start`` gave."""
        x = self._block(0).finish(x)
        for i in range(1, len(self.blocks)):
            x = self._block(i)(x)
        return _logits(x)

    def _block(self, i: int) -> Block:
        block = self.blocks[i]
        assert isinstance(block, Block)
        return block

    def norm_layers(self) -> list[BatchNorm]:
        """Return the batch-norm layers in order of execution."""
        return [m for m in self.modules() if isinstance(m, BatchNorm)]


def _logits(x: Tensor) -> Tensor:
    # TensorFlow's SAME 4x4 average pooling of a 2x2 map is the mean of the four.
    return x.float().mean(dim=(2, 3))


@torch.no_grad()
def _initialise(net: ArticleNet, scheme: Initialisation, generator: torch.Generator | None) -> None:
    for module in net.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if scheme == "article":
            nn.init.trunc_normal_(module.weight, std=0.1, a=-0.2, b=0.2, generator=generator)
            if module.bias is not None:
                module.bias.fill_(0.1)
        else:
            bound = (module.in_channels * 9) ** -0.5
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=generator)
