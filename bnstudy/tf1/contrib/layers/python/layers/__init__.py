"""``tensorflow.contrib.layers.python.layers``: where the article imports ``batch_norm`` from."""

from bnstudy.tf1.batch_norm import batch_norm

__all__ = ["batch_norm"]
