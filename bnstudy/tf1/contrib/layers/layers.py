"""``tf.contrib.layers``' layers that ``batch_norm`` stands in: convolutions, full connections, pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bnstudy.tf1 import nn
from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.contrib.framework import add_arg_scope
from bnstudy.tf1.contrib.layers.call import collect
from bnstudy.tf1.contrib.layers.initializers import xavier_initializer
from bnstudy.tf1.control import smart_cond
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.initializers import zeros_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.math import identity, matmul
from bnstudy.tf1.scopes import get_variable, get_variable_scope, variable_scope
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import reshape, shape
from bnstudy.tf1.spatial import pair, transposed_size
from bnstudy.tf1.variables import Variable

Layer = Callable[..., Any]


@add_arg_scope
def conv2d(
    inputs: Any,
    num_outputs: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: int | Sequence[int] = 1,
    activation_fn: Layer | None = nn.relu,
    normalizer_fn: Layer | None = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_initializer: Any = None,
    weights_regularizer: Any = None,
    biases_initializer: Any = zeros_initializer,
    biases_regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Tensor:
    """Convolve ``inputs`` [N, H, W, C]; normalise instead of adding biases if there is a ``normalizer_fn``.

    Variables: ``weights`` [h, w, C, num_outputs] (default: Xavier's) and ``biases`` [num_outputs].

    Source: ``tf.contrib.layers.conv2d``.
    """
    _check(data_format, rate)
    x = convert_to_tensor(inputs)
    with variable_scope(scope, "Conv", [inputs], reuse=reuse) as entered:
        collections, penalty = variables_collections, weights_regularizer
        window = [*pair("kernel_size", kernel_size), x.shape[-1], num_outputs]
        weights = _variable("weights", window, weights_initializer, penalty, trainable, collections)
        steps = [1, *pair("stride", stride), 1]
        out = nn.conv2d(x, weights, steps, padding.upper())
        out = _biased(
            out, num_outputs, normalizer_fn, normalizer_params, biases_initializer, biases_regularizer,
            trainable, collections,
        )  # fmt: skip
        return _finished(out, activation_fn, outputs_collections, entered.name)


@add_arg_scope
def conv2d_transpose(
    inputs: Any,
    num_outputs: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    activation_fn: Layer | None = nn.relu,
    normalizer_fn: Layer | None = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_initializer: Any = None,
    weights_regularizer: Any = None,
    biases_initializer: Any = zeros_initializer,
    biases_regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Tensor:
    """Convolve transposed: ``inputs`` [N, H, W, C] to [N, H * stride, W * stride, num_outputs] (``"SAME"``).

    Source: ``tf.contrib.layers.conv2d_transpose``.
    """
    _check(data_format, 1)
    x = convert_to_tensor(inputs)
    with variable_scope(scope, "Conv2d_transpose", [inputs], reuse=reuse) as entered:
        window, steps = pair("kernel_size", kernel_size), pair("stride", stride)
        sizes = [*window, num_outputs, x.shape[-1]]
        weights = _variable(
            "weights", sizes, weights_initializer, weights_regularizer, trainable, variables_collections
        )
        target = transposed_size(x, window, steps, padding.upper())
        out = nn.conv2d_transpose(x, weights, [*target, num_outputs], [1, *steps, 1], padding.upper())
        out = _biased(
            out, num_outputs, normalizer_fn, normalizer_params, biases_initializer, biases_regularizer,
            trainable, variables_collections,
        )  # fmt: skip
        return _finished(out, activation_fn, outputs_collections, entered.name)


@add_arg_scope
def fully_connected(
    inputs: Any,
    num_outputs: int,
    activation_fn: Layer | None = nn.relu,
    normalizer_fn: Layer | None = None,
    normalizer_params: Mapping[str, Any] | None = None,
    weights_initializer: Any = None,
    weights_regularizer: Any = None,
    biases_initializer: Any = zeros_initializer,
    biases_regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Tensor:
    """Multiply ``inputs`` [..., C] by ``weights`` [C, num_outputs]; normalise or add biases as ``conv2d``
    does.

    Source: ``tf.contrib.layers.fully_connected``.
    """
    x = convert_to_tensor(inputs)
    with variable_scope(scope, "fully_connected", [inputs], reuse=reuse) as entered:
        sizes = [x.shape[-1], num_outputs]
        weights = _variable(
            "weights", sizes, weights_initializer, weights_regularizer, trainable, variables_collections
        )
        out = matmul(x, weights)
        out = _biased(
            out, num_outputs, normalizer_fn, normalizer_params, biases_initializer, biases_regularizer,
            trainable, variables_collections,
        )  # fmt: skip
        return _finished(out, activation_fn, outputs_collections, entered.name)


@add_arg_scope
def max_pool2d(
    inputs: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 2,
    padding: str = "VALID",
    data_format: str = "NHWC",
    outputs_collections: Any = None,
    scope: str | None = None,
) -> Tensor:
    """Return the maximum of each window of ``inputs`` [N, H, W, C]."""
    return _pooled(
        nn.max_pool,
        "MaxPool2D",
        inputs,
        kernel_size,
        stride,
        padding,
        data_format,
        outputs_collections,
        scope,
    )


@add_arg_scope
def avg_pool2d(
    inputs: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 2,
    padding: str = "VALID",
    data_format: str = "NHWC",
    outputs_collections: Any = None,
    scope: str | None = None,
) -> Tensor:
    """Return the mean of each window of ``inputs`` [N, H, W, C]."""
    return _pooled(
        nn.avg_pool,
        "AvgPool2D",
        inputs,
        kernel_size,
        stride,
        padding,
        data_format,
        outputs_collections,
        scope,
    )


@add_arg_scope
def flatten(inputs: Any, outputs_collections: Any = None, scope: Any = None) -> Tensor:
    """Return ``inputs`` [N, ...] as [N, values of one example]."""
    x = convert_to_tensor(inputs)
    with variable_scope(scope, "Flatten", [inputs]) as entered:
        inner = TensorShape(x.shape[1:]).num_elements()
        out = reshape(x, [-1, inner] if inner is not None else [shape(x)[0], -1], name="flatten/Reshape")
        return _finished(out, None, outputs_collections, entered.name)


@add_arg_scope
def dropout(
    inputs: Any,
    keep_prob: Any = 0.5,
    noise_shape: Any = None,
    is_training: Any = True,
    outputs_collections: Any = None,
    scope: Any = None,
    seed: int | None = None,
) -> Tensor:
    """Keep each value with probability ``keep_prob`` while training, and return ``inputs`` otherwise."""
    x = convert_to_tensor(inputs)
    with variable_scope(scope, "Dropout", [inputs]) as entered:
        out = smart_cond(
            is_training, lambda: nn.dropout(x, keep_prob, noise_shape, seed), lambda: identity(x)
        )
        return _finished(out, None, outputs_collections, entered.name)


def repeat(inputs: Any, repetitions: int, layer: Layer, *args: Any, **kwargs: Any) -> Any:
    """Apply ``layer`` several times, under ``scope/scope_1``, ``scope/scope_2`` and so on."""
    scope = kwargs.pop("scope", None)
    with variable_scope(scope, "Repeat", [inputs]):
        base = scope or getattr(layer, "__name__", "repeat")
        for number in range(repetitions):
            inputs = layer(inputs, *args, **{**kwargs, "scope": f"{base}_{number + 1}"})
    return inputs


def _variable(
    name: str, sizes: Sequence[Any], initializer: Any, regularizer: Any, trainable: bool, collections: Any
) -> Variable:
    chosen = xavier_initializer() if initializer is None else initializer
    graph, scope = get_default_graph(), get_variable_scope().name

    def penalty(variable: Variable) -> Any:
        # Named as the core layer names its variables, which contrib renames.
        with graph.name_scope(f"{scope}/{'kernel' if name == 'weights' else 'bias'}/Regularizer/"):
            return regularizer(variable)

    made = get_variable(
        name, sizes, initializer=chosen, regularizer=penalty if regularizer else None, trainable=trainable
    )
    collect(made, GraphKeys.MODEL_VARIABLES)
    collect(made, collections.get(name) if isinstance(collections, Mapping) else collections)
    return made


def _biased(
    out: Tensor,
    size: int,
    normalizer_fn: Layer | None,
    normalizer_params: Mapping[str, Any] | None,
    initializer: Any,
    regularizer: Any,
    trainable: bool,
    collections: Any,
) -> Tensor:
    if normalizer_fn is not None:
        normalized: Tensor = normalizer_fn(out, **(normalizer_params or {}))
        return normalized
    if initializer is None:
        return out
    return nn.bias_add(out, _variable("biases", [size], initializer, regularizer, trainable, collections))


def _finished(out: Tensor, activation_fn: Layer | None, collections: Any, alias: str) -> Tensor:
    if activation_fn is not None:
        out = activation_fn(out)
    if collections:
        out.aliases.append(alias)
        collect(out, collections)
    return out


def _pooled(
    function: Layer,
    name: str,
    inputs: Any,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int],
    padding: str,
    data_format: str,
    collections: Any,
    scope: str | None,
) -> Tensor:
    _check(data_format, 1)
    with variable_scope(scope, name, [inputs]) as entered:
        window, steps = [1, *pair("kernel_size", kernel_size), 1], [1, *pair("stride", stride), 1]
        return _finished(function(inputs, window, steps, padding.upper()), None, collections, entered.name)


def _check(data_format: str | None, rate: int | Sequence[int]) -> None:
    if data_format not in (None, "NHWC"):
        raise ValueError(f"data_format is {data_format!r}; allowed here: 'NHWC'")
    if tuple(pair("rate", rate)) != (1, 1):
        raise NotImplementedError(f"rate is {rate}; allowed here: 1")
