"""``tf.contrib``, as far as batch normalization goes."""

from bnstudy.tf1.contrib import framework, layers, slim

__all__ = ["framework", "layers", "slim"]
