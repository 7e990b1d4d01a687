"""Old files run unchanged, the article's among them; so do the documentation's examples."""

from __future__ import annotations

import contextlib
import importlib
import re
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
