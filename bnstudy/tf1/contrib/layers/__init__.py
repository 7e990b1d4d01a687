"""``tf.contrib.layers``."""

from bnstudy.tf1.batch_norm import batch_norm
from bnstudy.tf1.regularizers import l1_regularizer, l2_regularizer

__all__ = ["batch_norm", "l1_regularizer", "l2_regularizer"]
