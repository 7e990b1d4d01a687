"""``tensorflow.contrib.layers.python.layers``: where the article imports ``batch_norm`` from."""

from bnstudy.tf1.contrib.layers.batch_norm import batch_norm

__all__ = ["batch_norm"]
