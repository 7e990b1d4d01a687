"""Batch normalization as a module, with TensorFlow 1's names and defaults."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from bnstudy.norm import renorm as renormalization
from bnstudy.norm.averages import UPDATES, MovingAverages, Updates
from bnstudy.norm.checks import check_choice, check_decay, check_epsilon, check_keys
from bnstudy.norm.kernel import (
    BatchMoments,
    batch_normalization,
    normalize_by_batch,
    normalize_by_statistics,
    per_channel,
    statistics_dtype,
)
from bnstudy.norm.moments import moments, weighted_moments
from bnstudy.norm.parameters import PARAMETER_NAMES, Initializer, Regularizer, initial_value

DataFormat = Literal["NCHW", "NHWC"]

DATA_FORMATS: tuple[DataFormat, ...] = ("NCHW", "NHWC")

# The options that PyTorch's layers have no choice of, and what is theirs.
TORCH_HAS: Mapping[str, object] = {
    "fused": True,
    "updates": "in_place",
    "zero_debias": False,
    "renorm": False,
    "activation": None,
    "regularizers": {},
    "data_format": "NCHW",
}


class BatchNorm(MovingAverages):
    """Batch normalization over channel 1 of [N, C, ...] (any number of spatial axes).

    Names and defaults are those of ``tf.contrib.layers.batch_norm``. ``decay`` is the
    weight of the *old* moving value (PyTorch's momentum is ``1 - decay``); the moving
    variance averages the *population* variance, as TensorFlow's non-fused path does.

    In training mode the batch's own moments normalise; what they were is kept in
    ``batch_moments`` until the next forward. In evaluation mode ``moving_mean`` and
    ``moving_variance`` normalise. To PyTorch it is one of its own batch-norm layers, with PyTorch's
    names in its ``state_dict``: see ``TorchFace``.

    A batch without values passes through and moves no average. With one value a channel, which PyTorch
    refuses, the output is ``beta``, as in TensorFlow, and a ``UserWarning`` says so. A module in half
    precision computes in float32 and keeps its averages in its own precision. Under ``torch.func.vmap`` each
    member moves averages of its own, where they are stacked, and ``batch_moments`` is None.

    Args:
        num_features: channels C.
        decay: weight of the old value in the moving averages, 0 to 1.
        center: add ``beta`` [C], from 0.
        scale: multiply by ``gamma`` [C], from 1.
        epsilon: added to the variance; above 0.
        activation: applied to the output.
        initializers: starting values of ``beta``, ``gamma``, ``moving_mean``, ``moving_variance``: a
            number, C numbers, or a function of the shape.
        regularizers: penalties of ``beta`` and ``gamma``; see ``regularization_loss``.
        updates: when the moving averages absorb the batch moments. ``"in_place"``: in the forward
            (``updates_collections=None``). ``"with_step"``: at ``apply_updates(model)``, from the moments
            of the last forward (``UPDATE_OPS`` under control dependencies). It is the cure where activation
            checkpointing runs each forward twice, and where loss scaling skips steps that overflowed.
            ``"after_step"``: in forwards under ``update_pass(model)``, which see the new weights.
            ``"never"``: the collection is forgotten.
        trainable: whether ``beta`` and ``gamma`` require gradients; the averages move either way.
        fused: average the variance with Bessel's correction, as TensorFlow's fused operation does.
        zero_debias: start the moving mean at 0 and divide it by ``1 - decay^t`` (the mean only).
        renorm: batch renormalization.
        renorm_clipping: any of ``rmin``, ``rmax``, ``dmax``; read at each forward, so that a schedule may
            change it.
        renorm_decay: decay of the renormalization statistics.
        renorm_algorithm: ``"tf1.15"`` or, for TensorFlow 1.12 and earlier, ``"tf1.12"``.
        data_format: ``"NCHW"`` ([N, C, ...]) or ``"NHWC"`` ([N, ..., C]).

    Raises ``ValueError`` naming argument, value and what is allowed.

    Source: Ioffe & Szegedy 2015, Algorithms 1 and 2; ``tf.contrib.layers.batch_norm``.
    """

    def __init__(
        self,
        num_features: int,
        *,
        decay: float = 0.999,
        center: bool = True,
        scale: bool = False,
        epsilon: float = 0.001,
        activation: Callable[[Tensor], Tensor] | None = None,
        initializers: Mapping[str, Initializer] | None = None,
        regularizers: Mapping[str, Regularizer] | None = None,
        updates: Updates = "in_place",
        trainable: bool = True,
        fused: bool = False,
        zero_debias: bool = False,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_decay: float = 0.99,
        renorm_algorithm: renormalization.Algorithm = "tf1.15",
        data_format: DataFormat = "NCHW",
    ) -> None:
        super().__init__(num_features, check_decay(decay), check_epsilon(epsilon))
        if isinstance(num_features, bool) or not isinstance(num_features, int) or num_features < 1:
            raise ValueError(f"num_features is {num_features!r}; allowed: an integer of at least 1")
        check_choice("updates", updates, UPDATES)
        check_choice("data_format", data_format, DATA_FORMATS)
        check_choice("renorm_algorithm", renorm_algorithm, renormalization.ALGORITHMS)
        check_keys("initializers", (initializers or {}).keys(), PARAMETER_NAMES)
        check_keys("regularizers", (regularizers or {}).keys(), PARAMETER_NAMES[:2])
        renormalization.check_clipping(renorm_clipping or {})
        if renorm and fused:
            raise ValueError("fused is True; allowed: False with renorm, which has no fused form")
        if renorm and zero_debias:
            raise ValueError("zero_debias is True; allowed: False with renorm")
        if activation is not None and not callable(activation):
            raise TypeError(f"activation is {activation!r}; allowed: a function of a tensor, or None")
        self.activation = activation
        self.regularizers = dict(regularizers or {})
        self.updates: Updates = updates
        self.fused = fused
        self.zero_debias = zero_debias
        self.renorm = renorm
        self.renorm_clipping = dict(renorm_clipping or {})
        self.renorm_decay = check_decay(renorm_decay, "renorm_decay")
        self.renorm_algorithm = renorm_algorithm
        self.data_format: DataFormat = data_format

        def start(name: str, default: float) -> Tensor:
            return initial_value(name, (initializers or {}).get(name, default), num_features)

        self._started = tuple(initializers or {})
        weight = nn.Parameter(start("gamma", 1.0), requires_grad=trainable) if scale else None
        bias = nn.Parameter(start("beta", 0.0), requires_grad=trainable) if center else None
        # The offset first: optimisers' states number parameters, and those of earlier versions did so.
        self.register_parameter("bias", bias)
        self.register_parameter("weight", weight)
        self.register_buffer("running_mean", start("moving_mean", 0.0))
        self.register_buffer("running_var", start("moving_variance", 1.0))
        self.register_buffer("num_batches_tracked", torch.tensor(0))
        if zero_debias:
            self.register_buffer("moving_mean_biased", torch.zeros(num_features))
            self.register_buffer("moving_mean_local_step", torch.zeros(()))
        if renorm:
            state = renormalization.initial_state(renorm_algorithm, self.moving_mean, self.moving_variance)
            for name, value in state.items():
                self.register_buffer(name, value)

    def forward(self, x: Tensor, batch_weights: Tensor | None = None) -> Tensor:
        """Normalise ``x`` [N, C, ...] or [N, ..., C]; the output has its shape and dtype.

        ``batch_weights`` weigh the share of samples [N], or of positions (the shape of ``x`` without its
        channels), in the batch moments: 0 for padding and 1 for the rest, say. All are normalised. Where all
        weights are 0 the moments are NaN, as in TensorFlow. Raises ``ValueError`` for a wrong rank, channel
        count or shape of the weights.
        """
        channel = self.check_input(x, batch_weights)
        moved_axis = channel != 1
        inner = x.movedim(channel, 1) if moved_axis else x
        out = self._train(inner, batch_weights) if self.training else self._evaluate(inner)
        if moved_axis:
            out = out.movedim(1, channel)
        return out if self.activation is None else self.activation(out)

    def regularization_loss(self) -> Tensor:
        """Return the sum of the penalties of ``beta`` and ``gamma``, a scalar (0 without any)."""
        total = self.moving_mean.new_zeros(())
        for name, regularizer in self.regularizers.items():
            parameter = getattr(self, name)
            if parameter is not None:
                total = total + regularizer(parameter)
        return total

    def unlike_torch(self) -> str | None:
        """Return what this layer does that PyTorch's don't, by the option's name, or None.

        They have no population moving variance (``fused=False``), no update schedule other than
        ``"in_place"``, no zero-debias, renorm, activation, regularizers or channels last.
        """
        for name, theirs in TORCH_HAS.items():
            value = getattr(self, name)
            if value != theirs:
                return f"{name} is {value!r}; allowed: {theirs!r}, all that PyTorch's layer has"
        return None

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set ``gamma`` to 1 and ``beta`` to 0, and reset the averages.

        Raises ``ValueError`` for a layer with ``initializers``, whose values it does not keep.
        """
        if self._started:
            raise ValueError(
                f"initializers of {list(self._started)} were given; build the layer again instead"
            )
        self.reset_running_stats()
        for parameter, value in ((self.gamma, 1.0), (self.beta, 0.0)):
            if parameter is not None:
                parameter.fill_(value)

    def extra_repr(self) -> str:
        """Return the settings that ``repr`` shows."""
        average = f"decay={self.decay}" if self.momentum is not None else "momentum=None"
        untracked = "" if self.track_running_stats else ", track_running_stats=False"
        return (
            f"{self.num_features}, {average}, center={self.beta is not None}, "
            f"scale={self.gamma is not None}, epsilon={self.epsilon}, updates={self.updates!r}{untracked}"
        )

    def _train(self, x: Tensor, batch_weights: Tensor | None) -> Tensor:
        if x.numel() and (self.renorm or batch_weights is not None):
            out, batch = self._train_composed(x, batch_weights)
        else:
            out, batch = normalize_by_batch(x, self.gamma, self.beta, self.epsilon)
        if batch.count == 1 and not torch.compiler.is_compiling():
            warnings.warn(
                "x has one value a channel: the output is beta whatever it is, and its variance, 0, goes "
                "into the moving variance; PyTorch's layers refuse such a batch",
                stacklevel=5,
            )
        self.keep(batch)
        return out

    def _train_composed(self, x: Tensor, batch_weights: Tensor | None) -> tuple[Tensor, BatchMoments]:
        # Under autocast x may be half precision; the moments are taken in float32 or better.
        values = x.to(statistics_dtype(x.dtype))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        share = None
        if batch_weights is None:
            mean, variance = moments(values, axes)
        else:
            rest = x.dim() - 1 - batch_weights.dim()
            weights = batch_weights.reshape(len(x), 1, *batch_weights.shape[1:], *(1,) * rest)
            mean, variance = weighted_moments(values, axes, weights)
            share = weights.detach().expand(len(x), 1, *x.shape[2:]).sum(dtype=torch.float64)
        batch = BatchMoments(mean.detach(), variance.detach(), x.numel() // x.shape[1], share)
        offset, scale = self.beta, self.gamma
        centre, spread = per_channel(mean, x), per_channel(variance, x)
        if not self.renorm:
            normalised = batch_normalization(values, centre, spread, None, None, self.epsilon)
        else:
            r, d = renormalization.corrections(
                self.renorm_algorithm,
                self._renorm_state(),
                mean,
                variance,
                self.epsilon,
                self.renorm_clipping,
            )
            normalised = batch_normalization(
                values, centre, spread, per_channel(d, x), per_channel(r, x), self.epsilon
            )
        if scale is not None:
            normalised = normalised * per_channel(scale, x)
        if offset is not None:
            normalised = normalised + per_channel(offset, x)
        return normalised.to(x.dtype), batch

    def _evaluate(self, x: Tensor) -> Tensor:
        if self.running_mean is None:
            return normalize_by_batch(x, self.gamma, self.beta, self.epsilon)[0]
        return normalize_by_statistics(
            x, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon
        )

    def check_input(self, x: Tensor, batch_weights: Tensor | None = None) -> int:
        """Return the axis of the channels of ``x``; ``ValueError`` for what ``forward`` does not take."""
        if not 2 <= x.dim() <= 5:
            raise ValueError(f"x has the shape {tuple(x.shape)}; allowed: 2 to 5 axes")
        channel = 1 if self.data_format == "NCHW" else x.dim() - 1
        if x.shape[channel] != self.num_features:
            raise ValueError(
                f"x has {x.shape[channel]} channels on axis {channel} ({self.data_format}); "
                f"allowed: num_features, {self.num_features}"
            )
        if batch_weights is not None:
            if self.fused:
                raise ValueError(
                    "fused is True with batch_weights; allowed: fused=False, or no batch_weights"
                )
            positions = x.shape[:channel] + x.shape[channel + 1 :]
            if batch_weights.shape not in (x.shape[:1], positions):
                raise ValueError(
                    f"batch_weights has the shape {tuple(batch_weights.shape)}; allowed: "
                    f"({x.shape[0]},), one a sample, or {tuple(positions)}, one a position"
                )
        return channel
