"""What two calls of ``batch_norm`` have in common, with ``reuse`` and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnstudy.records.kinds import SharingSpec
from bnstudy.records.tables import Table

if TYPE_CHECKING:
    from bnstudy.train.data import Dataset

CHANNELS = 8


def measure(spec: SharingSpec, dataset: Dataset | None) -> tuple[dict[str, Table], dict[str, str]]:
    """Return the table ``sharing``: variables of the second call, and the share that the first has too.

    Two calls of the article's ``batch_norm`` on inputs of their own; with ``reuse``, the second one asks for
    the first one's scope.
    """
    import bnstudy.tf1 as tf
    from bnstudy.tf1.contrib.layers.python.layers import batch_norm

    with tf.Graph().as_default():
        tf.set_random_seed(spec.seed)
        calls: list[set[str]] = []
        for number in range(2):
            before = {v.name for v in tf.global_variables()}
            scope = "norm" if spec.reuse or number == 0 else f"norm_{number}"
            x = tf.placeholder(tf.float32, [None, CHANNELS])
            batch_norm(
                x, scale=True, decay=0.9, updates_collections=None, scope=scope,
                reuse=True if spec.reuse and number else None,
            )  # fmt: skip
            made = {v.name for v in tf.global_variables()} - before
            calls.append(made or {v.name for v in tf.global_variables() if v.name.startswith(f"{scope}/")})
    shared = len(calls[0] & calls[1]) / len(calls[1])
    return {"sharing": {"variables": [len(calls[1])], "shared": [shared]}}, {}
