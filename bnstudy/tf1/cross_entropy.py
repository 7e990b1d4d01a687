"""``tf.nn``'s cross-entropies."""

from __future__ import annotations

from typing import Any

from torch.nn import functional as F

from bnstudy.tf1.constants import convert_to_tensor
from bnstudy.tf1.errors import warn_of_trap
from bnstudy.tf1.graph import Tensor, get_default_graph
from bnstudy.tf1.infer import make
from bnstudy.tf1.shapes import TensorShape


def softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, dim: int = -1, name: str | None = None
) -> Tensor:
    """Return the cross-entropy [N] of ``logits`` [N, K] against the distributions ``labels`` [N, K].

    Nothing flows back to the labels. Raises ``ValueError`` for positional arguments, as TensorFlow does
    from 1.0 on.
    """
    _check_named("softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    return _softmax(labels, logits, dim, name or "softmax_cross_entropy_with_logits_sg", through_labels=False)


def softmax_cross_entropy_with_logits_v2(
    labels: Any = None,
    logits: Any = None,
    axis: int | None = None,
    name: str | None = None,
    dim: int | None = None,
) -> Tensor:
    """Return what ``softmax_cross_entropy_with_logits`` returns, with gradients for the labels too."""
    _check_named("softmax_cross_entropy_with_logits_v2", None, labels, logits)
    along = next(a for a in (axis, dim, -1) if a is not None)
    return _softmax(labels, logits, along, name or "softmax_cross_entropy_with_logits", through_labels=True)


def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """Return the cross-entropy [N] of ``logits`` [N, K] against the classes ``labels`` [N]."""
    _check_named("sparse_softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    scope = name or "SparseSoftmaxCrossEntropyWithLogits"
    classes, scores = convert_to_tensor(labels), convert_to_tensor(logits)
    _warn_of_relu(scores)
    with get_default_graph().name_scope(scope):
        result: Tensor = make(
            None,
            "SparseSoftmaxCrossEntropyWithLogits",
            lambda y, z: -z.log_softmax(-1).gather(-1, y.long()[..., None])[..., 0],
            classes,
            scores,
            static=[(scores.dtype, classes.shape)],
        )
    return result


def sigmoid_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """Return the cross-entropy of each of ``logits`` against the probability in ``labels``, of one shape."""
    _check_named("sigmoid_cross_entropy_with_logits", _sentinel, labels, logits)
    scores = convert_to_tensor(logits, name="logits")
    targets = convert_to_tensor(labels, scores.dtype, name="labels")
    if not scores.shape.is_compatible_with(targets.shape):
        raise ValueError(f"logits and labels must have the same shape ({scores.shape} vs {targets.shape})")
    _warn_of_relu(scores)
    result: Tensor = make(
        name,
        "logistic_loss",
        lambda y, z: F.relu(z) - z * y + F.softplus(-z.abs(), threshold=80.0),
        targets,
        scores,
        static=[(scores.dtype, scores.shape)],
    )
    return result


def _softmax(labels: Any, logits: Any, dim: int, scope: str, *, through_labels: bool) -> Tensor:
    scores = convert_to_tensor(logits, name="logits")
    targets = convert_to_tensor(labels, name="labels")
    _warn_of_relu(scores)
    dims = scores.shape.dims
    kept = None if dims is None else [d for axis, d in enumerate(dims) if axis != dim % len(dims)]
    with get_default_graph().name_scope(scope):
        result: Tensor = make(
            "Reshape_2",
            scope,
            lambda y, z: -((y if through_labels else y.detach()).to(z.dtype) * z.log_softmax(dim)).sum(dim),
            targets,
            scores,
            static=[(scores.dtype, TensorShape(kept))],
        )
    return result


def _check_named(function: str, sentinel: Any, labels: Any, logits: Any) -> None:
    if sentinel is not None or labels is None or logits is None:
        raise ValueError(f"Only call `{function}` with named arguments (labels=..., logits=..., ...)")


def _warn_of_relu(logits: Tensor) -> None:
    op = logits.op
    while op.name.rsplit("/", 1)[-1].split("_")[0] in (
        "Reshape",
        "Squeeze",
        "AvgPool",
        "MaxPool",
        "Identity",
        "Mean",
    ):
        op = op.inputs[0].op
    if op.name.rsplit("/", 1)[-1].split("_")[0] in ("Relu", "Relu6"):
        warn_of_trap(
            f"logits {logits.name!r} come from the ReLU {op.name!r}: none can be negative, and where all "
            "are 0 nothing "
            "is learned; leave the last activation out"
        )
