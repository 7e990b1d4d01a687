"""Batch normalization as a module, with TensorFlow 1's names and defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnstudy.norm import pooled as pooling
from bnstudy.norm import renorm as renormalization
from bnstudy.norm.affine import batch_normalization
from bnstudy.norm.checks import check_choice, check_decay, check_epsilon, check_keys
from bnstudy.norm.ema import moved
from bnstudy.norm.kernel import (
    BatchMoments,
    normalize_by_batch,
    normalize_by_statistics,
    per_channel,
    statistics_dtype,
)
from bnstudy.norm.moments import moments, weighted_moments
from bnstudy.norm.parameters import PARAMETER_NAMES, Initializer, Regularizer, initial_value

Updates = Literal["in_place", "with_step", "after_step", "never"]
DataFormat = Literal["NCHW", "NHWC"]

UPDATES: tuple[Updates, ...] = ("in_place", "with_step", "after_step", "never")
DATA_FORMATS: tuple[DataFormat, ...] = ("NCHW", "NHWC")


class BatchNorm(nn.Module):
    """Batch normalization over channel 1 of [N, C, ...] (any number of spatial axes).

    Names and defaults are those of ``tf.contrib.layers.batch_norm``. ``decay`` is the
    weight of the *old* moving value (PyTorch's momentum is ``1 - decay``); the moving
    variance averages the *population* variance, as TensorFlow's non-fused path does.

    In training mode the batch's own moments normalise; what they were is kept in
    ``batch_moments`` until the next forward. In evaluation mode ``moving_mean`` and
    ``moving_variance`` normalise.

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
            of the last forward (``UPDATE_OPS`` under control dependencies). ``"after_step"``: in forwards
            under ``update_pass(model)``, which see the new weights. ``"never"``: the collection is forgotten.
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

    moving_mean: Tensor
    moving_variance: Tensor

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
        super().__init__()
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
        self.num_features = num_features
        self.decay = check_decay(decay)
        self.epsilon = check_epsilon(epsilon)
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
        self.absorbing = False
        self.batch_moments: BatchMoments | None = None

        def start(name: str, default: float) -> Tensor:
            return initial_value(name, (initializers or {}).get(name, default), num_features)

        self.beta = nn.Parameter(start("beta", 0.0), requires_grad=trainable) if center else None
        self.gamma = nn.Parameter(start("gamma", 1.0), requires_grad=trainable) if scale else None
        self.register_buffer("moving_mean", start("moving_mean", 0.0))
        self.register_buffer("moving_variance", start("moving_variance", 1.0))
        if zero_debias:
            self.register_buffer("moving_mean_biased", torch.zeros(num_features))
            self.register_buffer("moving_mean_local_step", torch.zeros(()))
        if renorm:
            state = renormalization.initial_state(renorm_algorithm, self.moving_mean, self.moving_variance)
            for name, value in state.items():
                self.register_buffer(name, value)

    def forward(self, x: Tensor, batch_weights: Tensor | None = None) -> Tensor:
        """Normalise ``x`` [N, C, ...] or [N, ..., C]; the output has its shape and dtype.

        ``batch_weights`` [N] weigh the samples' share in the batch moments; all are normalised.
        Raises ``ValueError`` for a wrong rank, channel count or shape of the weights.
        """
        channel = self._check_input(x, batch_weights)
        moved_axis = channel != 1
        inner = x.movedim(channel, 1) if moved_axis else x
        out = self._train(inner, batch_weights) if self.training else self._evaluate(inner)
        if moved_axis:
            out = out.movedim(1, channel)
        return out if self.activation is None else self.activation(out)

    def pooled(self, x: Tensor, relu: bool) -> Tensor:
        """Return ``max_pool2d(relu(self(x)), 2)`` of ``x`` [N, C, H, W], or without ReLU, in fewer passes.

        Moments, moving averages and gradients are those of the separate operations, which it falls back on
        where they are needed: see ``bnstudy.norm.pooled``.
        """
        if not self._compiled(x):
            y = self(x)
            return F.max_pool2d(F.relu(y) if relu else y, 2)
        self._check_input(x, None)
        if not self.training:
            return pooling.statistics_pool(
                x, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon, relu
            )
        out, batch = pooling.batch_norm_pool(x, self.gamma, self.beta, self.epsilon, relu)
        self._keep(batch)
        return out

    def rectified(self, x: Tensor) -> Tensor:
        """Return ``relu(self(x))``, in evaluation mode in one pass over [N, C, H, W].

        The bits are those of ``pooled`` for values that are pooled already.
        """
        if self.training or not self._compiled(x):
            return F.relu(self(x))
        self._check_input(x, None)
        return pooling.statistics_relu(
            x, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon
        )

    def _compiled(self, x: Tensor) -> bool:
        tensors = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        plain = (
            type(self) is BatchNorm
            and self.activation is None
            and self.data_format == "NCHW"
            and not (self.training and self.renorm)
            # Somebody looks at what goes in or out.
            and not torch.nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
            and not (self._forward_hooks or self._forward_pre_hooks)
            and not (self._backward_hooks or self._backward_pre_hooks)
            and "forward" not in vars(self)
        )
        return plain and pooling.serves(x, *tensors) and (self.training or not _derives(x, *tensors))

    def regularization_loss(self) -> Tensor:
        """Return the sum of the penalties of ``beta`` and ``gamma``, a scalar (0 without any)."""
        total = self.moving_mean.new_zeros(())
        for name, regularizer in self.regularizers.items():
            parameter = getattr(self, name)
            if parameter is not None:
                total = total + regularizer(parameter)
        return total

    @torch.no_grad()
    def absorb_moments(self) -> None:
        """Let the moving averages absorb the last batch moments.

        Raises ``RuntimeError`` before the first forward in training mode.
        """
        batch = self.batch_moments
        if batch is None:
            raise RuntimeError("no batch moments yet; run a forward in training mode first")
        if self.renorm:
            self._absorb_renorm(batch)
            return
        variance = batch.variance
        if self.fused:
            variance = variance * (batch.count / max(batch.count - 1, 1))
        if self.zero_debias:
            self._absorb_debiased(batch.mean)
        else:
            self.moving_mean.sub_((self.moving_mean - batch.mean) * (1.0 - self.decay))
        self.moving_variance.sub_((self.moving_variance - variance) * (1.0 - self.decay))

    def extra_repr(self) -> str:
        """Return the settings that ``repr`` shows."""
        return (
            f"{self.num_features}, decay={self.decay}, center={self.beta is not None}, "
            f"scale={self.gamma is not None}, epsilon={self.epsilon}, updates={self.updates!r}"
        )

    def _train(self, x: Tensor, batch_weights: Tensor | None) -> Tensor:
        if self.renorm or batch_weights is not None:
            out, batch = self._train_composed(x, batch_weights)
        else:
            out, batch = normalize_by_batch(x, self.gamma, self.beta, self.epsilon)
        self._keep(batch)
        return out

    def _keep(self, batch: BatchMoments) -> None:
        self.batch_moments = batch
        if self.updates == "in_place" or (self.absorbing and self.updates == "after_step"):
            self.absorb_moments()

    def _train_composed(self, x: Tensor, batch_weights: Tensor | None) -> tuple[Tensor, BatchMoments]:
        # Under autocast x may be half precision; the moments are taken in float32 or better.
        values = x.to(statistics_dtype(x.dtype))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        if batch_weights is None:
            mean, variance = moments(values, axes)
        else:
            weights = batch_weights.reshape(-1, *(1,) * (x.dim() - 1))
            mean, variance = weighted_moments(values, axes, weights)
        batch = BatchMoments(mean.detach(), variance.detach(), x.numel() // x.shape[1])
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
        return normalize_by_statistics(
            x, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon
        )

    def _absorb_debiased(self, mean: Tensor) -> None:
        biased = cast(Tensor, self.moving_mean_biased)
        step = cast(Tensor, self.moving_mean_local_step)
        biased.copy_(moved(biased, mean, self.decay))
        step.add_(1.0)
        # In double precision: 1 - 0.999 keeps only four digits in float32.
        unbias = 1.0 - torch.pow(
            torch.tensor(self.decay, dtype=torch.float64, device=step.device), step.double()
        )
        self.moving_mean.copy_(biased / unbias)

    def _absorb_renorm(self, batch: BatchMoments) -> None:
        state = self._renorm_state()
        state["moving_mean"], state["moving_variance"] = self.moving_mean, self.moving_variance
        new = renormalization.updated(
            self.renorm_algorithm,
            state,
            batch.mean,
            batch.variance,
            decay=self.decay,
            renorm_decay=self.renorm_decay,
            epsilon=self.epsilon,
        )
        for name, value in new.items():
            state[name].copy_(value)

    def _renorm_state(self) -> dict[str, Tensor]:
        if self.renorm_algorithm == "tf1.15":
            names: tuple[str, ...] = ("renorm_mean", "renorm_stddev", "moving_stddev")
        else:
            names = ("renorm_mean", "renorm_mean_weight", "renorm_stddev", "renorm_stddev_weight")
        return {name: getattr(self, name) for name in names}

    def _check_input(self, x: Tensor, batch_weights: Tensor | None) -> int:
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
            if batch_weights.shape != x.shape[:1]:
                raise ValueError(
                    f"batch_weights has the shape {tuple(batch_weights.shape)}; "
                    f"allowed: ({x.shape[0]},), one a sample"
                )
        return channel


def _derives(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
