"""``tf.contrib``, as far as batch normalization goes."""

from bnstudy.tf1.contrib import layers

__all__ = ["layers"]
