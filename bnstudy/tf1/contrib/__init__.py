"""``tf.contrib``, as far as batch normalization goes."""

from bnstudy.tf1.contrib import framework, layers, slim
from bnstudy.tf1.uncovered import refused

__getattr__ = refused(__name__)

__all__ = ["framework", "layers", "slim"]
