"""Old files run unchanged, the article's among them; so do the documentation's examples."""

from __future__ import annotations

import contextlib
import importlib
import operator
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import bnstudy.tf1 as tf
from bnstudy.tf1 import alias
from bnstudy.tf1.__main__ import main

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(__file__).with_name("scripts")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    tf.reset_default_graph()
    yield
    tf.reset_default_graph()
    sys.modules.pop("init_cnn", None)
    assert "tensorflow" not in sys.modules


def test_the_articles_program_runs_and_its_traps_speak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = SCRIPTS / "article.py"
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert main(["--emulate", "1.3", str(script), "1", str(tmp_path / "model")]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^test accuracy [01](\.\d+)?$", text, re.M)
    logits = [float(v) for v in re.findall(r"one image: \[\[(.*)\]\]", text)[0].split(", ")]
    assert len(logits) == 10
    assert min(logits) >= 0.0
    said = {str(w.message).split(" ")[0]: Path(w.filename) for w in found if w.category is tf.TrapWarning}
    assert sorted(said) == ["logits", "the"]
    assert all(path == script for path in said.values())
    messages = " ".join(str(w.message) for w in found)
    assert "the Boolean variable 'Variable' is assigned, but nothing in the graph reads it" in messages
    # Emulating 1.3, the averages are those of the population variance: one image's own, at the end.
    saved = torch.load(tmp_path / "model", weights_only=True)
    assert len(saved) == 1 + 10 + 15 + 2 * 15 + 2
    assert np.isfinite(saved["BatchNorm_4/moving_variance"].numpy()).all()


def test_a_script_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SCRIPTS / "none.py")]) == 2
    assert "there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "check"),
    [
        ("import tensorflow as m", "m.Session is tf.Session"),
        ("import tensorflow.compat.v1 as m; m.disable_v2_behavior()", "m.Session is tf.Session"),
        ("from tensorflow.contrib.layers.python.layers import batch_norm as m", "m is tf.batch_norm"),
        ("import tensorflow.contrib.slim as m", "m.conv2d is tf.contrib.slim.conv2d"),
        ("import tensorflow.contrib as m", "m.layers.batch_norm is tf.batch_norm"),
        ("import tf_slim as m", "m.batch_norm is tf.batch_norm"),
        ("from tensorflow.contrib.framework.python.ops import add_arg_scope as m", "callable(m)"),
        ("from tensorflow.python.training import moving_averages as m", "callable(m.assign_moving_average)"),
        ("from tensorflow.python.ops import control_flow_ops as m", "callable(m.with_dependencies)"),
        ("from tensorflow.python.framework import ops as m", "m.GraphKeys is tf.GraphKeys"),
    ],
)
def test_imports_of_the_time_find_the_package(line: str, check: str) -> None:
    alias.install()
    try:
        names: dict[str, object] = {"tf": tf}
        exec(line, names)
        assert eval(check, names)
        assert importlib.import_module("bnstudy.tf1").__name__ == "bnstudy.tf1"
    finally:
        alias.remove()


@pytest.mark.parametrize(
    "module", ["tensorflow.examples.tutorials.mnist", "tensorflow.graph", "tensorflow.keras"]
)
def test_a_module_that_is_not_covered_is_named(module: str) -> None:
    alias.install()
    try:
        with pytest.raises(ModuleNotFoundError, match=r"bnstudy\.tf1 does not cover 'tensorflow"):
            importlib.import_module(module)
        with pytest.raises(AttributeError, match=r"bnstudy\.tf1 has no 'while_loop'"):
            importlib.import_module("tensorflow").while_loop  # noqa: B018
    finally:
        alias.remove()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("", "while_loop"),
        (".nn", "top_k"),
        (".train", "AdagradOptimizer"),
        (".layers", "separable_conv2d"),
        (".summary", "audio"),
        (".contrib", "rnn"),
        (".contrib.layers", "instance_norm"),
        (".contrib.slim", "separable_conv2d"),
    ],
)
def test_a_name_that_is_not_covered_says_so_wherever_it_is_asked_for(module: str, name: str) -> None:
    said = re.escape(f"bnstudy.tf1{module} has no '{name}': bnstudy.tf1 covers")
    with pytest.raises(AttributeError, match=said):
        getattr(importlib.import_module(f"bnstudy.tf1{module}"), name)
    alias.install()
    try:
        with pytest.raises(AttributeError, match=said):
            operator.attrgetter(f"{module}.{name}".removeprefix("."))(importlib.import_module("tensorflow"))
    finally:
        alias.remove()


def test_the_alias_does_not_hide_a_tensorflow_that_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    with pytest.raises(RuntimeError, match="tensorflow is imported already"):
        alias.install()
    monkeypatch.delitem(sys.modules, "tensorflow")


def test_the_pages_examples_run() -> None:
    page = (ROOT / "book" / "api" / "tf1.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.S))
    with contextlib.redirect_stdout(None):
        exec(compile(code, "tf1.md", "exec"), {})


def test_the_page_lists_what_it_says_and_no_name_is_missing() -> None:
    page = (ROOT / "book" / "api" / "tf1.md").read_text()
    for module in ("", ".nn", ".layers", ".train", ".contrib.layers", ".contrib.framework"):
        assert f".. automodule:: bnstudy.tf1{module}\n" in page
    absent = re.findall(
        r"`(?:tf\.)?(\w+)`", page[page.index("- Not covered") : page.index("- Out of purpose")]
    )
    assert {"while_loop", "losses", "gather", "flags"} <= set(absent)
    assert not [name for name in absent if name in tf.__all__]


def test_names_from_before_one_point_zero() -> None:
    with tf.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        v = tf.Variable([3.0, 1.0])
        total = tf.neg(tf.sub(tf.mul(tf.pack([1.0, 2.0]), 2.0), v))
        tf.scalar_summary("loss", tf.reduce_sum(tf.unpack(total)[0]))
        merged = tf.merge_all_summaries()
        with tf.Session() as session:
            session.run(tf.initialize_all_variables())
            assert session.run([total, merged])[0].tolist() == [1.0, -3.0]


def test_summaries_evaluate_what_they_are_asked_for_and_say_once_that_nothing_is_written() -> None:
    code = (
        "import bnstudy.tf1 as tf, warnings\n"
        "v = tf.Variable(0.0)\n"
        "with warnings.catch_warnings(record=True) as found:\n"
        "    warnings.simplefilter('always')\n"
        "    tf.summary.scalar('a', v.assign_add(1.0)); tf.summary.histogram('b', v.value())\n"
        "    writer = tf.summary.FileWriter('logs', tf.get_default_graph())\n"
        "with tf.Session() as s:\n"
        "    s.run(tf.global_variables_initializer())\n"
        "    writer.add_summary(s.run(tf.summary.merge_all()), 1)\n"
        "    print(len(found), found[0].filename, s.run(v))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "<string>", "1.0"]
