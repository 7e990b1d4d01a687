"""Probes in training loops that belong to a framework, which is imported only when its function is called.

``lightning_callback(probes)`` goes into Lightning's ``Trainer(callbacks=[...])``,
``transformers_callback(probes)`` into that of transformers.
"""

from bnstudy.frameworks.lightning import lightning_callback
from bnstudy.frameworks.transformers import transformers_callback

__all__ = ["lightning_callback", "transformers_callback"]
