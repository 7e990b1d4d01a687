"""Compare ``bnstudy.tf1`` with a TensorFlow that runs now: ``python benchmarks/tensorflow_live.py``.

Makes a virtual environment of its own with tensorflow-cpu 2.12.1 and tf-slim 1.1.0 (about 1.5 GB; Python
3.11), draws random calls of ``batch_norm``, records what TensorFlow computes in the format of the golden
file, and has ``tests/test_tensorflow.py`` replay it. With ``--install-only`` it stops at the environment,
which runs of the kind "tensorflow" take place in.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["tensorflow-cpu==2.12.1", "tf-slim==1.1.0"]


def main() -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--cases", type=int, default=60, help="number of random calls")
    parser.add_argument("--seed", type=int, default=0, help="seed of the calls and their inputs")
    parser.add_argument("--venv", type=Path, default=ROOT / "_build" / "tensorflow", help="where to install")
    parser.add_argument("--python", default="python3.11", help="interpreter of that environment")
    parser.add_argument("--install-only", action="store_true", help="make the environment and no comparison")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        record(options.record, options.cases, options.seed)
        return 0
    python = options.venv / "bin" / "python"
    installed = options.venv / ".installed"
    if not installed.exists():
        subprocess.run([options.python, "-m", "venv", str(options.venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        installed.touch()
    if options.install_only:
        print(f"TensorFlow's environment: {python}")
        return 0
    file = options.venv / f"live_{options.seed}_{options.cases}.npz"
    arguments = ["--record", str(file), "--cases", str(options.cases), "--seed", str(options.seed)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
    subprocess.run([str(python), __file__, *arguments], check=True, env=quiet)
    replay = ["tests/test_tensorflow.py", "--golden", str(file.resolve())]
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *replay], cwd=ROOT).returncode


def draw(rng: np.random.Generator) -> tuple[dict[str, Any], list[int]]:
    """Return keywords and an input shape that TensorFlow accepts on a CPU."""
    kwargs: dict[str, Any] = {
        "decay": float(rng.choice([0.0, 0.5, 0.9, 0.99])),
        "epsilon": float(rng.choice([1e-3, 1e-2, 0.3])),
        "center": bool(rng.integers(2)),
        "scale": bool(rng.integers(2)),
        "trainable": bool(rng.integers(4)),
        "activation_fn": [None, "relu", "tanh"][rng.integers(3)],
    }
    shape = [int(s) for s in rng.integers(2, 6, rng.integers(2, 5))]
    style = rng.integers(4)
    if style == 0:
        kwargs["updates_collections"] = None
    elif style == 1:
        kwargs["zero_debias_moving_mean"] = True
    elif style == 2:
        kwargs.update(renorm=True, renorm_decay=0.5)
        kwargs["renorm_clipping"] = {"rmin": 0.6, "rmax": 1.5, "dmax": 0.4}
    if style != 2 and rng.integers(2):
        kwargs["fused"] = False
        kwargs["data_format"] = ["NHWC", "NCHW"][rng.integers(2)]
    return kwargs, shape


def record(path: Path, cases: int, seed: int) -> None:
    """Write what TensorFlow computes; runs in TensorFlow's environment."""
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    rng = np.random.default_rng(seed)
    index: list[str] = []
    store: dict[str, np.ndarray] = {}
    for number in range(cases):
        kwargs, shape = draw(rng)
        name = f"live.{number:03d}"
        with tf.Graph().as_default():
            arrays = run_case(tf, kwargs, shape, rng)
        in_place = kwargs.get("updates_collections", "") is None
        info = {
            "name": name,
            "api": "batch_norm",
            "group": "live",
            "dtype": "float32",
            "kwargs": kwargs,
            "shape": shape,
            "is_training_kind": "python",
            "run_updates": "in_place" if in_place else "with_step",
            "scenario": "plain",
            "steps": [
                {"is_training": t, "effective": t, "call": 0, "n": shape[0]} for t in (True, True, False)
            ],
            "arrays": sorted(arrays),
        }
        index.append(json.dumps(info))
        store.update({f"{name}/{key}": value for key, value in arrays.items()})
    np.savez_compressed(path, index=np.array(index), **store)


def run_case(
    tf: Any, kwargs: dict[str, Any], shape: list[int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return inputs, outputs, gradients and variables of two training steps and one evaluation."""
    import tf_slim

    activation = {None: None, "relu": tf.nn.relu, "tanh": tf.nn.tanh}[kwargs["activation_fn"]]
    options = {**kwargs, "activation_fn": activation, "scope": "bn"}
    x = tf.placeholder(tf.float32, [None, *shape[1:]])
    weight = rng.normal(size=shape).astype(np.float32)
    fetches = {}
    for training in (True, False):
        before = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        out = tf_slim.batch_norm(x, is_training=training, reuse=None if training else True, **options)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)[before:]
        parameters = {v.op.name.split("/")[-1]: v for v in tf.global_variables()}
        sources = {"grad_x": x, **{f"grad_{p}": parameters[p] for p in ("gamma", "beta") if p in parameters}}
        with tf.control_dependencies(updates):
            gradients = tf.gradients(tf.reduce_sum(out * weight), list(sources.values()))
            found = {key: g for key, g in zip(sources, gradients, strict=True) if g is not None}
            fetches[training] = {"out": tf.identity(out), **{k: tf.identity(g) for k, g in found.items()}}
    short = {"biased": "moving_mean_biased", "local_step": "moving_mean_local_step"}
    last = {v.op.name.split("/")[-1]: v for v in tf.global_variables()}
    variables = {short.get(name, name): v for name, v in last.items()}
    arrays: dict[str, np.ndarray] = {"const/W": weight}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        arrays.update({f"init/var/{key}": value for key, value in session.run(variables).items()})
        for step, training in enumerate((True, True, False)):
            value = rng.normal(1.0, 2.0, shape).astype(np.float32)
            arrays[f"{step}/x"] = value
            got = session.run(fetches[training], {x: value})
            arrays.update({f"{step}/{key}": np.asarray(result) for key, result in got.items()})
            arrays.update({f"{step}/var/{key}": v for key, v in session.run(variables).items()})
    return arrays


if __name__ == "__main__":
    sys.exit(main())
