"""The module against TensorFlow's own numbers: every recorded case that a module can stand for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bnstudy.norm import BatchNorm, L1Regularizer, L2Regularizer, apply_updates, update_pass
from bnstudy.norm.torch_face import TORCH_NAMES, parameters_by_tensorflow_name
from tests import golden

torch.set_num_threads(1)
TENSORFLOW_NAMES = {new: old for old, new in TORCH_NAMES.items()}


def comparable(case: golden.Case) -> bool:
    """Return whether one module means the case: one call, float32, no trap that the module avoids."""
    info, kwargs = case.info, case.kwargs
    if info["api"] != "batch_norm":
        return False
    traps = (
        (kwargs.get("trainable") is False and info["path"].startswith("layer"))
        or (bool(kwargs.get("param_regularizers")) and info["path"] == "slim_plain")
        or (info["run_updates"] == "with_step" and info["is_training_kind"] == "article_bug")
    )
    return (
        info["scenario"] == "plain"
        and info["dtype"] == "float32"
        and info.get("ncalls", 1) == 1
        and not traps
    )


CASES = [c for c in golden.load(str(Path(__file__).with_name("golden_public.npz"))) if comparable(c)]


def module_of(case: golden.Case) -> BatchNorm:
    kwargs, info = dict(case.kwargs), case.info
    for name in (
        *("scope", "reuse", "updates_collections", "batch_weights", "fused", "data_format"),
        *("variables_collections", "outputs_collections"),
    ):
        kwargs.pop(name, None)
    features = case.arrays["init/var/moving_mean"].shape[0]
    activations = {None: None, "relu": torch.relu, "tanh": torch.tanh}
    kwargs["activation"] = activations[kwargs.pop("activation_fn", None)]
    used = {"beta": kwargs.get("center", True), "gamma": kwargs.get("scale", False)}
    kwargs["initializers"] = {
        name: spec.get("constant", spec.get("values"))
        for name, spec in (kwargs.pop("param_initializers", None) or {}).items()
        if used.get(name, True)
    }
    kinds = {"l1": L1Regularizer, "l2": L2Regularizer}
    kwargs["regularizers"] = {
        name: kinds[kind](scale)
        for name, spec in (kwargs.pop("param_regularizers", None) or {}).items()
        for kind, scale in spec.items()
    }
    kwargs["zero_debias"] = kwargs.pop("zero_debias_moving_mean", False)
    if not kwargs.get("renorm"):
        kwargs.pop("renorm_clipping", None)
    layout = case.kwargs.get("data_format", "NHWC")
    layout = "NCHW" if len(info["shape"]) == 2 else layout
    return BatchNorm(
        features,
        fused=info["path"].endswith("_fused"),
        updates=info["run_updates"],
        data_format=layout,
        **kwargs,
    )


def states(layer: BatchNorm, where: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in layer.state_dict().items():
        yield f"{where}/var/{TENSORFLOW_NAMES.get(name, name)}", value.numpy().copy()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_module_equals_tensorflow(case: golden.Case) -> None:
    layer = module_of(case)
    computed: dict[str, Any] = dict(states(layer, "init"))
    computed["init/reg_losses"] = layer.regularization_loss()
    for t, step in enumerate(case.steps):
        layer.train(bool(step["effective"]))
        x = torch.from_numpy(case.arrays[f"{t}/x"]).requires_grad_()
        weights = case.arrays.get(f"{t}/batch_weights")
        given = () if weights is None else (torch.from_numpy(weights),)
        layer.zero_grad()
        out = layer(x, *given)
        (out * torch.from_numpy(case.arrays["const/W"][: len(x)])).sum().backward()
        if layer.training:
            apply_updates(layer)
            with update_pass(layer), torch.no_grad():
                if layer.updates == "after_step":
                    layer(x, *given)
        computed.update({f"{t}/out": out.detach().numpy(), f"{t}/grad_x": x.grad})
        for name, parameter in parameters_by_tensorflow_name(layer):
            if parameter.requires_grad:
                zero = torch.zeros_like(parameter)
                computed[f"{t}/grad_{name}"] = zero if parameter.grad is None else parameter.grad.clone()
        computed.update(states(layer, str(t)))
        computed[f"{t}/reg_losses"] = layer.regularization_loss()
    for key, expected in case.expected().items():
        if case.kwargs.get("trainable") is False and key.endswith(("grad_gamma", "grad_beta")):
            continue  # a frozen parameter has no gradient in PyTorch
        value = computed[key]
        got = value.detach().numpy() if isinstance(value, torch.Tensor) else value
        if key.endswith("reg_losses"):
            expected = expected.sum()
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5, err_msg=key)


def test_most_cases_have_a_module() -> None:
    assert len(CASES) > 120
