"""Record what real TensorFlow makes of the programs: ``python -m tests.record_tf1_programs`` in its
environment.

That is TensorFlow 2.12.1 (``compat.v1``) with tf-slim 1.1.0, as ``benchmarks/tensorflow_live.py`` installs
it. The values go to ``golden_tf1_programs.npz`` and ``golden_tf1_calls.json``, which the tests compare with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.tf1_calls import CALLS, look
from tests.tf1_zoo import PROGRAMS, observe
from tests.tf1_zoo.harness import packed

FILE = Path(__file__).with_name("golden_tf1_programs.npz")
CALLS_FILE = Path(__file__).with_name("golden_tf1_calls.json")


def tensorflow() -> tuple[Any, Any]:
    """Return TensorFlow 1's module, with tf-slim where its contrib was, and ``moving_averages``."""
    import tensorflow.compat.v1 as tf
    import tf_slim
    from tensorflow.python.training import moving_averages

    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    framework = SimpleNamespace(arg_scope=tf_slim.arg_scope)
    names = ("batch_norm", "fully_connected", "conv2d", "l2_regularizer", "xavier_initializer")
    layers = SimpleNamespace(**{name: getattr(tf_slim, name) for name in names})
    tf.contrib = SimpleNamespace(slim=tf_slim, framework=framework, layers=layers)
    return tf, moving_averages


def main() -> int:
    tf, moving_averages = tensorflow()
    store: dict[str, np.ndarray] = {}
    index = []
    for name, build in PROGRAMS.items():
        facts, arrays = observe(tf, moving_averages, build)
        layout, store[str(len(index))] = packed(arrays)
        index.append(json.dumps({"name": name, "arrays": layout, **facts}))
    np.savez_compressed(FILE, index=np.array(index), **store)
    print(f"{len(index)} programs, {FILE.stat().st_size / 1024:.0f} KB")
    lines = [f"{json.dumps(call)}: {json.dumps(look(tf, call))}" for call in CALLS]
    CALLS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(lines)} calls, {CALLS_FILE.stat().st_size / 1024:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
