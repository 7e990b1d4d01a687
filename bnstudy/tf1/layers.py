"""``tf.layers``: layers with variables, in functional form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bnstudy.tf1 import nn, versions
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.contrib.layers import core_layer
from bnstudy.tf1.contrib.layers.call import NCHW, NHWC, Call, note
from bnstudy.tf1.control import smart_cond
from bnstudy.tf1.graph import Tensor
from bnstudy.tf1.initializers import ones_initializer, zeros_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.math import identity, matmul
from bnstudy.tf1.scopes import get_variable, variable_scope
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import reshape, shape
from bnstudy.tf1.spatial import pair, transposed_size
from bnstudy.tf1.uncovered import refused
from bnstudy.tf1.variables import Variable

__getattr__ = refused(__name__)

Activation = Callable[[Any], Any]


def batch_normalization(
    inputs: Any,
    axis: int = -1,
    momentum: Any = 0.99,
    epsilon: Any = 0.001,
    center: bool = True,
    scale: bool = True,
    beta_initializer: Any = zeros_initializer,
    gamma_initializer: Any = ones_initializer,
    moving_mean_initializer: Any = zeros_initializer,
    moving_variance_initializer: Any = ones_initializer,
    beta_regularizer: Any = None,
    gamma_regularizer: Any = None,
    training: Any = False,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
    renorm: bool = False,
    renorm_clipping: Any = None,
    renorm_momentum: Any = 0.99,
    fused: bool | None = None,
) -> Tensor:
    """Return ``inputs`` batch-normalised; ``training`` is False unless it is given.

    ``axis`` is that of the channels, 1 or the last. The averages move only when the operations in
    ``tf.GraphKeys.UPDATE_OPS`` are run. Raises ``ValueError`` for another axis.

    Source: ``tf.layers.batch_normalization``.
    """
    x = convert_to_tensor(inputs)
    rank = x.shape.ndims
    if rank is None:
        raise ValueError(f"Input has undefined rank. Received: input_shape={x.shape}")
    last = axis in (-1, rank - 1)
    if not last and axis not in (1, 1 - rank):
        raise ValueError(f"axis is {axis}; allowed here: 1 or {rank - 1} (the last)")
    starts = {"beta": beta_initializer, "gamma": gamma_initializer, "moving_mean": moving_mean_initializer}
    starts["moving_variance"] = moving_variance_initializer
    penalties = {"beta": beta_regularizer, "gamma": gamma_regularizer}
    call = Call(
        inputs=x,
        decay=momentum,
        center=center,
        scale=scale,
        epsilon=epsilon,
        activation_fn=None,
        param_initializers={n: s() if isinstance(s, type) else s for n, s in starts.items() if s is not None},
        param_regularizers={n: p for n, p in penalties.items() if p is not None},
        updates_collections=GraphKeys.UPDATE_OPS,
        is_training=training,
        reuse=reuse,
        variables_collections=None,
        outputs_collections=None,
        trainable=trainable,
        batch_weights=None,
        fused=fused,
        data_format=NHWC if last else NCHW,
        zero_debias_moving_mean=False,
        scope=name,
        renorm=renorm,
        renorm_clipping=renorm_clipping,
        renorm_decay=renorm_momentum,
        model=False,
    )
    fuses = (fused is None or fused) and not renorm and rank in versions.current().fused_ranks
    fuses = fuses and x.dtype.name != "float64"
    with variable_scope(name, "batch_normalization", [inputs], reuse=reuse) as entered:
        note(call, entered, fused=fuses)
        return core_layer.build(call, entered, fuses)


def dense(
    inputs: Any,
    units: int,
    activation: Activation | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer,
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
) -> Tensor:
    """Multiply ``inputs`` [..., C] by ``kernel`` [C, units] and add ``bias``.

    Source: ``tf.layers.dense``.
    """
    _check_activity(activity_regularizer)
    x = convert_to_tensor(inputs)
    with variable_scope(name, "dense", [inputs], reuse=reuse):
        kernel = _kernel([x.shape[-1], units], kernel_initializer, kernel_regularizer, trainable)
        return _finished(
            matmul(x, kernel), units, use_bias, bias_initializer, bias_regularizer, trainable, activation
        )


def conv2d(
    inputs: Any,
    filters: int,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = (1, 1),
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: int | Sequence[int] = (1, 1),
    activation: Activation | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer,
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
) -> Tensor:
    """Convolve ``inputs`` [N, H, W, C] with ``kernel`` [h, w, C, filters] and add ``bias``.

    Source: ``tf.layers.conv2d``.
    """
    _check_activity(activity_regularizer)
    _check_layout(data_format)
    if pair("dilation_rate", dilation_rate) != [1, 1]:
        raise NotImplementedError(f"dilation_rate is {dilation_rate}; allowed here: 1")
    x = convert_to_tensor(inputs)
    with variable_scope(name, "conv2d", [inputs], reuse=reuse):
        window = [*pair("kernel_size", kernel_size), x.shape[-1], filters]
        kernel = _kernel(window, kernel_initializer, kernel_regularizer, trainable)
        out = nn.conv2d(x, kernel, [1, *pair("strides", strides), 1], padding.upper())
        return _finished(out, filters, use_bias, bias_initializer, bias_regularizer, trainable, activation)


def conv2d_transpose(
    inputs: Any,
    filters: int,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = (1, 1),
    padding: str = "valid",
    data_format: str = "channels_last",
    activation: Activation | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = zeros_initializer,
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
) -> Tensor:
    """Convolve transposed with ``kernel`` [h, w, filters, C] and add ``bias``.

    Source: ``tf.layers.conv2d_transpose``.
    """
    _check_activity(activity_regularizer)
    _check_layout(data_format)
    x = convert_to_tensor(inputs)
    with variable_scope(name, "conv2d_transpose", [inputs], reuse=reuse):
        window, steps = pair("kernel_size", kernel_size), pair("strides", strides)
        kernel = _kernel([*window, filters, x.shape[-1]], kernel_initializer, kernel_regularizer, trainable)
        target = transposed_size(x, window, steps, padding.upper())
        out = nn.conv2d_transpose(x, kernel, [*target, filters], [1, *steps, 1], padding.upper())
        return _finished(out, filters, use_bias, bias_initializer, bias_regularizer, trainable, activation)


def max_pooling2d(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int],
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> Tensor:
    """Return the maximum of each window of ``inputs`` [N, H, W, C]."""
    return _pooled(nn.max_pool, "max_pooling2d", inputs, pool_size, strides, padding, data_format, name)


def average_pooling2d(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int],
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> Tensor:
    """Return the mean of each window of ``inputs`` [N, H, W, C]."""
    return _pooled(nn.avg_pool, "average_pooling2d", inputs, pool_size, strides, padding, data_format, name)


def flatten(inputs: Any, name: str | None = None) -> Tensor:
    """Return ``inputs`` [N, ...] as [N, values of one example]."""
    x = convert_to_tensor(inputs)
    with variable_scope(name, "flatten", [inputs]):
        inner = TensorShape(x.shape[1:]).num_elements()
        return reshape(x, [-1, inner] if inner is not None else [shape(x)[0], -1])


def dropout(
    inputs: Any,
    rate: Any = 0.5,
    noise_shape: Any = None,
    seed: int | None = None,
    training: Any = False,
    name: str | None = None,
) -> Tensor:
    """Set each value to 0 with probability ``rate`` while training, and return ``inputs`` otherwise."""
    x = convert_to_tensor(inputs)
    with variable_scope(name, "dropout", [inputs]):
        result: Tensor = smart_cond(
            training,
            lambda: nn.dropout(x, noise_shape=noise_shape, seed=seed, rate=rate),
            lambda: identity(x),
        )
        return result


def _kernel(sizes: Sequence[Any], initializer: Any, regularizer: Any, trainable: bool) -> Variable:
    return get_variable(
        "kernel", sizes, initializer=initializer, regularizer=regularizer, trainable=trainable
    )


def _finished(
    out: Tensor,
    size: int,
    use_bias: bool,
    initializer: Any,
    regularizer: Any,
    trainable: bool,
    activation: Activation | None,
) -> Tensor:
    if use_bias:
        bias = get_variable(
            "bias", [size], initializer=initializer, regularizer=regularizer, trainable=trainable
        )
        out = nn.bias_add(out, bias)
    return out if activation is None else activation(out)


def _pooled(
    function: Callable[..., Tensor],
    base: str,
    inputs: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int],
    padding: str,
    data_format: str,
    name: str | None,
) -> Tensor:
    _check_layout(data_format)
    with variable_scope(name, base, [inputs]):
        window, steps = [1, *pair("pool_size", size), 1], [1, *pair("strides", strides), 1]
        return function(inputs, window, steps, padding.upper())


def _check_layout(data_format: str) -> None:
    if data_format != "channels_last":
        raise ValueError(f"data_format is {data_format!r}; allowed here: 'channels_last'")


def _check_activity(regularizer: Any) -> None:
    if regularizer is not None:
        raise NotImplementedError("activity_regularizer is not covered")
