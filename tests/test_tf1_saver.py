"""Names of averages, what a saver keeps, and weights that cross over by name."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import bnstudy.tf1 as tf


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def test_two_averages_of_one_call_of_moments_come_back(tmp_path: Path) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    mean, variance = tf.nn.moments(x, [0])
    ema = tf.train.ExponentialMovingAverage(0.5)
    update = ema.apply([mean, variance])
    names = ["moments/Squeeze/ExponentialMovingAverage", "moments/Squeeze_1/ExponentialMovingAverage"]
    assert [v.op.name for v in tf.global_variables()] == names
    assert sorted(ema.variables_to_restore()) == names
    saver, averages = tf.train.Saver(), [ema.average(mean), ema.average(variance)]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(update, {x: np.arange(12.0).reshape(4, 3) ** 2})
        before = session.run(averages)
        path = saver.save(session, tmp_path / "c")
    with tf.Session() as session:
        saver.restore(session, path)
        after = session.run(averages)
    assert (before[0] != before[1]).all()
    np.testing.assert_array_equal(before, after)


def test_slots_and_averages_have_tensorflows_names() -> None:
    """Recorded from TensorFlow 2.12.1: scopes double, second ones get a number."""
    x = tf.placeholder(tf.float32, [None, 3])
    with tf.variable_scope("a"):
        w = tf.get_variable("w", [3, 3])
    with tf.variable_scope("tr"):
        loss = tf.reduce_mean(tf.square(tf.matmul(x, w)))
        steps = [
            tf.train.AdamOptimizer().minimize(loss),
            tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss, name="hi"),
            tf.train.RMSPropOptimizer(0.1).minimize(loss),
            tf.train.AdamOptimizer().minimize(loss),
        ]
    assert [v.op.name for v in tf.global_variables()] == [
        "a/w", "tr/beta1_power", "tr/beta2_power", "tr/a/w/Adam", "tr/a/w/Adam_1", "tr/a/w/Momentum",
        "tr/a/w/RMSProp", "tr/a/w/RMSProp_1", "tr/beta1_power_1", "tr/beta2_power_1", "tr/a/w/Adam_2",
        "tr/a/w/Adam_3",
    ]  # fmt: skip
    assert [s.name for s in steps] == ["tr/Adam", "tr/hi", "tr/RMSProp", "tr/Adam_1"]
    assert tf.get_collection(tf.GraphKeys.TRAIN_OP) == steps


def test_a_name_of_two_kinds_of_variables_stays_unique() -> None:
    w, u = tf.Variable([1.0, 2.0], name="w"), tf.get_variable("w", [2])
    with tf.variable_scope("s"):
        ema = tf.train.ExponentialMovingAverage(0.9)
        ema.apply([w, u])
    names = [v.op.name for v in tf.global_variables()]
    assert names == ["w", "w_1", "s/w/ExponentialMovingAverage", "s/w_1/ExponentialMovingAverage"]
    with pytest.raises(ValueError, match="Variable s/s_1/x/ExponentialMovingAverage/ does not"):  # noqa: SIM117
        with tf.variable_scope("s", reuse=True):
            tf.train.ExponentialMovingAverage(0.9).apply([tf.constant(1.0, name="x")])


def test_a_saver_refuses_what_it_can_not_keep_apart() -> None:
    v, w = tf.Variable(1.0, name="v"), tf.Variable(2.0, name="w")
    with pytest.raises(ValueError, match="At least two variables have the same name: v"):
        tf.train.Saver([v, w, v])
    with pytest.raises(ValueError, match="restored with two names: b"):
        tf.train.Saver({"a": v, "b": v})
    with pytest.raises(ValueError, match="No variables to save"):
        tf.train.Saver([])


def test_a_saver_keeps_the_last_files(tmp_path: Path) -> None:
    v = tf.Variable(0.0)
    saver = tf.train.Saver(max_to_keep=2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        paths = [saver.save(session, tmp_path / "m", global_step=step) for step in range(4)]
        assert [Path(p).exists() for p in paths] == [False, False, True, True]
        assert tf.train.latest_checkpoint(tmp_path) == paths[-1]
        with pytest.raises(tf.errors.NotFoundError, match="no checkpoint at"):
            saver.restore(session, tmp_path / "other")
    assert v.name == "Variable:0"


def test_a_restore_that_lacks_a_variable_changes_nothing(tmp_path: Path) -> None:
    v, w = tf.Variable(1.0, name="v"), tf.Variable(2.0, name="w")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver([v]).save(session, tmp_path / "m")
        v.load(7.0, session)
        with pytest.raises(tf.errors.NotFoundError, match="Key w not found"):
            tf.train.Saver([v, w]).restore(session, path)
        assert session.run(v) == 7.0


def test_arrays_are_taken_by_name() -> None:
    tf.batch_norm(tf.placeholder(tf.float32, [None, 2]), scope="bn", scale=True)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        arrays = tf.arrays_of(session)
        assert sorted(arrays) == ["bn/beta", "bn/gamma", "bn/moving_mean", "bn/moving_variance"]
        changed = {f"{name}:0": value + 1.0 for name, value in arrays.items()}
        assert tf.load_arrays({**changed, "beta1_power": np.float32(0.9)}) == ["beta1_power"]
        assert session.run("bn/moving_mean:0").tolist() == [1.0, 1.0]
        with pytest.raises(ValueError, match=r"bn/beta has shape \(3,\) in the arrays and \(2,\)"):
            tf.load_arrays({**arrays, "bn/beta": np.zeros(3, np.float32)})
        assert session.run("bn/moving_mean:0").tolist() == [1.0, 1.0]
        del arrays["bn/beta"]
        with pytest.raises(tf.errors.NotFoundError, match="Key bn/beta not found"):
            tf.load_arrays(arrays)
        assert tf.load_arrays(arrays, missing="keep") == []
        with pytest.raises(ValueError, match="missing is 'ignore'; allowed: 'raise', 'keep'"):
            tf.load_arrays(arrays, missing="ignore")


HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed")
def test_a_checkpoint_of_tensorflows_says_what_reads_it(tmp_path: Path) -> None:
    (tmp_path / "model.index").write_bytes(b"")
    with pytest.raises(ImportError, match="only TensorFlow reads"):
        tf.read_checkpoint(tmp_path / "model")


WRITER = """
import sys
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
with tf.variable_scope("bn"):
    tf.get_variable("moving_mean", [3], initializer=tf.constant_initializer(0.25), trainable=False)
kernel = tf.get_variable("kernel", [2, 3], initializer=tf.random_normal_initializer(seed=1))
step = tf.train.get_or_create_global_step()
update = tf.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(kernel * kernel), global_step=step)
saver = tf.train.Saver()
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(update)
    saver.save(session, sys.argv[1] + "/model", global_step=step)
    np.savez(sys.argv[1] + "/truth.npz", **{v.op.name: session.run(v) for v in tf.global_variables()})
"""


@pytest.mark.skipif(not HAS_TENSORFLOW, reason="TensorFlow is not installed")
def test_a_checkpoint_of_tensorflows_is_read_where_it_is_installed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=True, capture_output=True)
    truth = dict(np.load(tmp_path / "truth.npz"))
    path = tf.train.latest_checkpoint(tmp_path)
    arrays = tf.read_checkpoint(path)
    assert sorted(arrays) == sorted(truth)
    assert {"bn/moving_mean", "kernel/Adam_1", "global_step", "beta1_power"} < set(arrays)
    for name, value in truth.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)
        assert arrays[name].dtype == value.dtype
    kernel = tf.get_variable("kernel", [2, 3])
    with tf.Session() as session:
        tf.train.Saver([kernel]).restore(session, path)
        np.testing.assert_array_equal(session.run(kernel), truth["kernel"])
