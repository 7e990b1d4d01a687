"""One call of ``batch_norm``: its arguments, and what its four implementations share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnstudy.tf1 import versions
from bnstudy.tf1.dtypes import DType, float16, float32
from bnstudy.tf1.graph import Normalized, Tensor, get_default_graph
from bnstudy.tf1.initializers import Initializer, ones_initializer, zeros_initializer
from bnstudy.tf1.keys import GraphKeys
from bnstudy.tf1.scopes import VariableScope, get_variable
from bnstudy.tf1.shapes import TensorShape
from bnstudy.tf1.shaping import reshape
from bnstudy.tf1.variables import Variable

NHWC, NCHW = "NHWC", "NCHW"
DEFAULT_INITIALIZERS: dict[str, Callable[[DType], Initializer]] = {
    "beta": zeros_initializer,
    "gamma": ones_initializer,
    "moving_mean": zeros_initializer,
    "moving_variance": ones_initializer,
}


@dataclass(frozen=True)
class Call:
    """The arguments of one call of ``batch_norm``, by their TensorFlow names."""

    inputs: Tensor
    decay: Any
    center: bool
    scale: bool
    epsilon: Any
    activation_fn: Callable[[Any], Any] | None
    param_initializers: Mapping[str, Any]
    param_regularizers: Mapping[str, Any]
    updates_collections: Any
    is_training: Any
    reuse: Any
    variables_collections: Any
    outputs_collections: Any
    trainable: bool
    batch_weights: Any
    fused: Any
    data_format: str
    zero_debias_moving_mean: bool
    scope: str | VariableScope | None
    renorm: bool
    renorm_clipping: Mapping[str, Any] | None
    renorm_decay: Any
    # Whether variables are model variables; those of tf.layers are not.
    model: bool = True

    @property
    def rank(self) -> int | None:
        """Return the rank of the input, or None."""
        return self.inputs.shape.ndims

    @property
    def wants_fused(self) -> bool:
        """Return whether ``fused`` asks for the fused operation; None means the version's default."""
        return versions.current().fused_default if self.fused is None else bool(self.fused)

    @property
    def by_core_layer(self) -> bool:
        """Return whether the core layer can serve: standard collection, no weights, no zero-debias."""
        return (
            self.batch_weights is None
            and self.updates_collections == GraphKeys.UPDATE_OPS
            and not self.zero_debias_moving_mean
        )

    @property
    def path(self) -> str:
        """Return which serves: ``slim_fused``, ``layer_fused``, ``layer_plain`` or ``slim_plain``."""
        possible = self.batch_weights is None and not self.renorm and self.rank in (2, 4)
        version = versions.current()
        if self.param_regularizers and not version.fused_regularizers:
            possible = False
        outside_layer = (
            bool(self.zero_debias_moving_mean)
            or self.rank == 2
            or self.updates_collections != GraphKeys.UPDATE_OPS
        )
        if self.wants_fused and possible and outside_layer:
            return "slim_fused"
        if not self.by_core_layer:
            return "slim_plain"
        fuses = self.wants_fused and not self.renorm and self.rank in version.fused_ranks
        if version.fused_float64 and self.inputs.dtype.name not in ("float16", "bfloat16", "float32"):
            fuses = False
        return "layer_fused" if fuses else "layer_plain"

    @property
    def channel_axis(self) -> int:
        """Return the axis of the channels, counted from the front."""
        assert self.rank is not None
        return 1 if self.data_format == NCHW and self.rank > 1 else self.rank - 1

    @property
    def reduced_axes(self) -> list[int]:
        """Return every axis but that of the channels."""
        assert self.rank is not None
        return [axis for axis in range(self.rank) if axis != self.channel_axis]

    @property
    def channels(self) -> TensorShape:
        """Return the shape [C] of the variables."""
        return TensorShape([self.inputs.shape[self.channel_axis]])

    def statistics_type(self) -> DType:
        """Return the type of variables beside half-precision input: float32."""
        return (
            float32
            if self.inputs.dtype in (float16,) or self.inputs.dtype.name == "bfloat16"
            else self.inputs.dtype
        )

    def spread(self, statistic: Tensor) -> Tensor:
        """Return ``statistic`` [C] in a shape that broadcasts against the input."""
        assert self.rank is not None
        if self.channel_axis == self.rank - 1:
            return statistic
        return reshape(statistic, [1, -1, *[1] * (self.rank - 2)])

    def spread_optional(self, statistic: Tensor | None) -> Tensor | None:
        """Return ``spread(statistic)``, or None for None."""
        return None if statistic is None else self.spread(statistic)


def note(call: Call, scope: VariableScope, *, fused: bool) -> None:
    """Keep with the graph how this call normalises."""
    floor = versions.current().minimal_epsilon if fused and isinstance(call.epsilon, float) else None
    epsilon = call.epsilon if floor is None else max(call.epsilon, floor)
    in_place = call.updates_collections is None
    made = Normalized(scope.name, call.is_training, in_place, call.decay, epsilon, bessel=fused)
    get_default_graph().batch_norms.append(made)


def check_floating(inputs: Tensor) -> None:
    """Raise ``TypeError``, as TensorFlow's addition of epsilon does, unless ``inputs`` are floating point."""
    if not inputs.dtype.is_floating:
        raise TypeError(
            f"Input 'y' of 'AddV2' Op has type float32 that does not match type {inputs.dtype.name} "
            "of argument 'x'."
        )


def variable(call: Call, name: str, dtype: DType, *, regularized: bool = False) -> Variable:
    """Return the call's variable ``name`` [C] of the current scope, in the collections asked for."""
    made = get_variable(
        name,
        call.channels,
        dtype,
        call.param_initializers.get(name, DEFAULT_INITIALIZERS[name](dtype)),
        call.param_regularizers.get(name) if regularized else None,
        trainable=call.trainable and name in ("beta", "gamma"),
    )
    if call.model:
        collect(made, GraphKeys.MODEL_VARIABLES)
    collect(made, _collections_of(call.variables_collections, name))
    return made


def finish(call: Call, scope: VariableScope, outputs: Tensor) -> Tensor:
    """Apply the activation, and put the result into the output collections under the scope's name."""
    if call.activation_fn is not None:
        outputs = call.activation_fn(outputs)
    if call.outputs_collections:
        outputs.aliases.append(scope.name)
        collect(outputs, call.outputs_collections)
    return outputs


def put(call: Call, updates: tuple[Tensor, Tensor]) -> None:
    """Put update operations into the collections that the call names."""
    keys = call.updates_collections
    for operation in updates:
        for key in [keys] if isinstance(keys, str) else keys:
            get_default_graph().add_to_collection(key, operation)


def collect(value: Any, keys: Any) -> None:
    """Add ``value`` to one collection or several, once to each."""
    graph = get_default_graph()
    for key in [keys] if isinstance(keys, str) else list(keys or []):
        if not any(item is value for item in graph.get_collection(key)):
            graph.add_to_collection(key, value)


def _collections_of(collections: Any, name: str) -> str | Sequence[str] | None:
    found: str | Sequence[str] | None = (
        collections.get(name) if isinstance(collections, dict) else collections
    )
    return found
