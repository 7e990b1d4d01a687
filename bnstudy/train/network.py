"""The article's network, with every quirk of it a named option."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnstudy.norm import BatchNorm
from bnstudy.norm.checks import check_choice
from bnstudy.norm.fast import normalize_and_pool, normalize_and_rectify, pooled
from bnstudy.norm.kernel import statistics_dtype
from bnstudy.norm.noise import FrozenNoise, noisy
from bnstudy.train.networks import Network
from bnstudy.train.perturb import Perturb, dropped

Norm = Literal["batch", "none", "noisy", "group"]
Initialisation = Literal["article", "default", "he"]
DropoutPlace = Literal["before_norm", "after_norm"]
Generators = torch.Generator | Sequence[torch.Generator] | None

WIDTHS = (64, 64, 32, 16)
GROUPS = 8  # of group normalization, where they divide the channels


class Conv3x3(nn.Conv2d):
    """A 3x3 SAME convolution that computes in its input's dtype, over float32 weights."""

    def __init__(self, channels_in: int, channels_out: int, bias: bool, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1, bias=bias, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``x`` [N, C_in, H, W]: [N, C_out, H, W]."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.conv2d(x, self.weight.to(x.dtype), bias, padding=1, groups=self.groups)


class GroupNorm(nn.GroupNorm):
    """Group normalization that computes in float32 or better, whatever its input's dtype (Wu & He 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [N, C, H, W] group by group; shape and dtype are kept."""
        return super().forward(x.to(statistics_dtype(x.dtype))).to(x.dtype)


class Block(nn.Module):
    """A 3x3 SAME convolution, normalisation, ReLU and 2x2 max pooling: one row of the article's table.

    Input [N, C_in, H, W]; output [N, C_out, H/2, W/2], or [N, C_out, H, W] without pooling.
    ``before_norm``, ``behind_norm`` (between normalisation and ReLU) and ``after`` (at the end) hold
    what perturbs the block in training.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        norm: nn.Module,
        bias: bool,
        relu: bool,
        pool: bool,
        groups: int = 1,
        before_norm: nn.Module | None = None,
        behind_norm: nn.Module | None = None,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = Conv3x3(channels_in, channels_out, bias, groups)
        self.norm = norm
        self.relu = relu
        self.pool = pool
        self.before_norm = before_norm
        self.behind_norm = behind_norm
        self.after = after

    def forward(self, x: Tensor, batch_weights: Tensor | None = None) -> Tensor:
        """Return the block's output, in the dtype of ``x``; ``batch_weights`` [N] weigh the batch moments."""
        x = self._convolve(x)
        if batch_weights is not None:
            return self._finish(x, batch_weights=batch_weights)
        # The compiled pass pools and normalises at once; without it, pooling first touches less.
        if self._pools_first() and not pooled.serves(x):
            return self._finish(max_pool_2x2(x), pooled_before=True)
        return self._finish(x)

    def start(self, x: Tensor) -> Tensor:
        """Do what comes before the normalisation and does not depend on its statistics."""
        x = self._convolve(x)
        return max_pool_2x2(x) if self._pools_first() else x

    def finish(self, x: Tensor) -> Tensor:
        """Normalise, and do what comes after."""
        return self._finish(x, pooled_before=self._pools_first())

    def _convolve(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x if self.before_norm is None else self.before_norm(x)

    def _finish(self, x: Tensor, pooled_before: bool = False, batch_weights: Tensor | None = None) -> Tensor:
        pools = self.pool and not pooled_before
        noise = self.behind_norm is not None and self.behind_norm.training
        weighted = batch_weights is not None
        if pools and isinstance(self.norm, BatchNorm) and not noise and not weighted:
            x = normalize_and_pool(self.norm, x, self.relu)
        elif self.relu and not pools and isinstance(self.norm, BatchNorm) and not noise and not weighted:
            x = normalize_and_rectify(self.norm, x)
        elif pools and isinstance(self.norm, nn.Identity):
            x = max_pool_2x2(x, self.relu)
        else:
            x = self.norm(x, batch_weights) if isinstance(self.norm, BatchNorm) else self.norm(x)
            if self.behind_norm is not None:
                x = self.behind_norm(x)
            if self.relu:
                x = F.relu(x)
            if pools:
                x = max_pool_2x2(x)
        return x if self.after is None else self.after(x)

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


class ArticleNet(Network):
    """Five convolutions to ten logits, as the article's code runs (not as its comments say).

    With ``members`` R it is R such networks side by side, one R times as wide: grouped convolutions, and
    normalisation that is per channel anyway. Every parameter and buffer holds member after member on its
    first axis, so that each member computes, and learns from a sum of losses, as it would alone.

    Args:
        norm: ``"batch"`` for batch normalization after every convolution, ``"noisy"`` for batch normalization
            with noise behind it in training (``bnstudy.norm.noise``), ``"group"`` for group normalization in
            its place (its groups at most 8, and its gamma and beta learned), or ``"none"``.
        relu_on_logits: conv5 is followed by a ReLU in the article, so that no logit is negative.
        conv_bias: a bias in every convolution, which batch normalization then cancels.
        initialisation: ``"article"``: weights from a normal of standard deviation 0.1 truncated at
            two, biases 0.1 (the ``init_cnn`` helpers that the article does not show; an assumption);
            ``"he"``: weights from a normal of variance 2 / fan-in, biases 0 (He et al. 2015, equation 10); or
            ``"default"``: PyTorch's.
        channels_in: channels of the input images.
        classes: number of classes.
        decay: decay of the layers' moving averages (the article's 0.9).
        epsilon: added to the variance (TensorFlow's default 0.001).
        scale: whether the layers have a gamma (the article's default: no).
        scale_last: whether the last layer, which gives the logits, has one too.
        noise_frozen: the noise is the same at every forward pass (for each shape of its input).
        noise_dose: factor of the published noise.
        norm_last: whether the last layer, which gives the logits, is normalised too.
        renorm: batch renormalization.
        renorm_clipping: its bounds ``rmin``, ``rmax`` and ``dmax``.
        renorm_decay: decay of its statistics.
        dropout: share of the values that training drops in the four hidden layers.
        dropout_place: ``"before_norm"`` (after the convolution) or ``"after_norm"`` (after ReLU and pooling).
        members: R, the number of networks side by side.
        generator: source of the initial weights, or one a member; the default generator if None.
        noise_generator: source of dropout and noise, or one a member; the default generator if None.

    Input [N, R * channels_in, 32, 32] of any precision; output logits [N, R * classes] in float32 or better.
    Weights stay as they are; the convolutions compute in the input's dtype.
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
        scale_last: bool = True,
        noise_frozen: bool = False,
        noise_dose: float = 1.0,
        norm_last: bool = True,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_decay: float = 0.99,
        dropout: float = 0.0,
        dropout_place: DropoutPlace = "after_norm",
        members: int = 1,
        generator: Generators = None,
        noise_generator: Generators = None,
    ) -> None:
        super().__init__()
        check_choice("norm", norm, ("batch", "none", "noisy", "group"))
        check_choice("initialisation", initialisation, ("article", "default", "he"))
        check_choice("dropout_place", dropout_place, ("before_norm", "after_norm"))
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is {dropout!r}; allowed: 0 to below 1")
        if members < 1:
            raise ValueError(f"members is {members!r}; allowed: an integer of at least 1")
        self.members = members
        sources = _one_each("noise_generator", noise_generator, members)
        widths = [members * width for width in (channels_in, *WIDTHS, classes)]
        last = len(WIDTHS)

        def norm_layer(i: int) -> nn.Module:
            if norm == "none" or (i == last and not norm_last):
                return nn.Identity()
            if norm == "group":
                each = widths[i + 1] // members
                return GroupNorm(members * math.gcd(GROUPS, each), widths[i + 1])
            return BatchNorm(
                widths[i + 1],
                decay=decay,
                epsilon=epsilon,
                scale=scale and (scale_last or i < last),
                renorm=renorm,
                renorm_clipping=renorm_clipping,
                renorm_decay=renorm_decay,
            )

        def noise_layer(i: int) -> Perturb:
            if noise_frozen:
                seeds = [torch.initial_seed() if s is None else s.initial_seed() for s in sources]
                return Perturb([FrozenNoise(seed + i, noise_dose) for seed in seeds], sources)
            return Perturb(functools.partial(noisy, dose=noise_dose), sources)

        def drop(i: int, place: DropoutPlace) -> nn.Module | None:
            if dropout == 0.0 or place != dropout_place or i == last:
                return None
            return Perturb(functools.partial(dropped, probability=dropout), sources)

        self.blocks = nn.Sequential()
        for i, (c_in, c_out) in enumerate(itertools.pairwise(widths)):
            layer = norm_layer(i)
            noise = norm == "noisy" and isinstance(layer, BatchNorm)
            block = Block(
                c_in,
                c_out,
                norm=layer,
                bias=conv_bias,
                relu=relu_on_logits or i < last,
                pool=i < last,
                groups=members,
                before_norm=drop(i, "before_norm"),
                behind_norm=noise_layer(i) if noise else None,
                after=drop(i, "after_norm"),
            )
            self.blocks.add_module(f"conv{i + 1}", block)
        _initialise(self, initialisation, _one_each("generator", generator, members))

    def forward(self, x: Tensor, batch_weights: Tensor | None = None) -> Tensor:
        """Return logits [N, R * classes] for images [N, R * channels_in, 32, 32].

        ``batch_weights`` [N] weigh the images' share in the batch moments; see ``bnstudy.BatchNorm``.
        """
        if batch_weights is None:
            return _logits(self.blocks(x))
        for block in self.blocks:
            x = block(x, batch_weights)
        return _logits(x)

    def start(self, x: Tensor) -> Tensor:
        """Do what no normalisation statistics enter, once for all evaluations that differ in them."""
        return self._block(0).start(x)

    def finish(self, x: Tensor) -> Tensor:
        """Return the logits from what ``start`` gave."""
        x = self._block(0).finish(x)
        for i in range(1, len(self.blocks)):
            x = self._block(i)(x)
        return _logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits [N, R * classes] from what the last block gave."""
        return _logits(x)

    def _block(self, i: int) -> Block:
        block = self.blocks[i]
        assert isinstance(block, Block)
        return block

    def turns(self) -> list[nn.Module]:
        """Return the blocks."""
        return list(self.blocks)


def _logits(x: Tensor) -> Tensor:
    # TensorFlow's SAME 4x4 average pooling of a 2x2 map is the mean of the four.
    return x.to(statistics_dtype(x.dtype)).mean(dim=(2, 3))


def _one_each(name: str, generator: Generators, members: int) -> Sequence[torch.Generator | None]:
    if isinstance(generator, Sequence):
        if len(generator) != members:
            raise ValueError(
                f"{name} has {len(generator)} generators; allowed: one for each of {members} members"
            )
        return generator
    return [generator] * members


@torch.no_grad()
def _initialise(
    net: ArticleNet, scheme: Initialisation, generators: Sequence[torch.Generator | None]
) -> None:
    for module in net.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        bound = (module.weight.shape[1] * 9) ** -0.5
        for i, generator in enumerate(generators):
            for parameter in (module.weight, module.bias):
                if parameter is None:
                    continue
                part = parameter.chunk(len(generators))[i]
                if scheme == "default":
                    part.uniform_(-bound, bound, generator=generator)
                elif scheme == "he":
                    std = 2**0.5 * bound if parameter is module.weight else 0.0
                    part.normal_(0.0, std, generator=generator)
                elif parameter is module.weight:
                    nn.init.trunc_normal_(part, std=0.1, a=-0.2, b=0.2, generator=generator)
                else:
                    part.fill_(0.1)
