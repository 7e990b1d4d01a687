"""``tf.nn``: layers without variables, over images [N, H, W, C]."""

from bnstudy.tf1.activations import (
    dropout,
    elu,
    l2_loss,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    sigmoid,
    softmax,
    softplus,
    tanh,
)
from bnstudy.tf1.convolution import avg_pool, bias_add, conv2d, conv2d_transpose, max_pool, xw_plus_b
from bnstudy.tf1.cross_entropy import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
)
from bnstudy.tf1.normalization import (
    batch_norm_with_global_normalization,
    batch_normalization,
    fused_batch_norm,
    moments,
    weighted_moments,
)
from bnstudy.tf1.uncovered import refused

__getattr__ = refused(__name__)

__all__ = [
    "avg_pool",
    "batch_norm_with_global_normalization",
    "batch_normalization",
    "bias_add",
    "conv2d",
    "conv2d_transpose",
    "dropout",
    "elu",
    "fused_batch_norm",
    "l2_loss",
    "leaky_relu",
    "log_softmax",
    "max_pool",
    "moments",
    "relu",
    "relu6",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2",
    "softplus",
    "sparse_softmax_cross_entropy_with_logits",
    "tanh",
    "weighted_moments",
    "xw_plus_b",
]
