"""A layer's face to PyTorch's own tools: their class, their names, their checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnstudy.norm.checks import check_epsilon
from bnstudy.norm.momentum import decay_from_momentum, momentum_from_decay

# TensorFlow's name of a tensor, and PyTorch's name of the same.
TORCH_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


class TorchFace(_BatchNorm):
    """Holds the tensors under PyTorch's names; TensorFlow's names are aliases of the same tensors.

    - ``gamma`` is ``weight``, ``beta`` is ``bias``, ``moving_mean`` is ``running_mean``, and
      ``moving_variance`` is ``running_var``, to read and to assign; ``epsilon`` is ``eps``. States under
      TensorFlow's names load.
    - ``momentum`` is ``1 - decay``. While it is None, as ``torch.optim.swa_utils.update_bn`` sets it,
      training forwards average cumulatively: each batch weighs the same.
    - While ``track_running_stats`` is False, as ``torch.func.replace_all_batch_norm_modules_`` sets it,
      batches are normalised by their own moments in evaluation mode too, and nothing is averaged.
    - ``affine`` is what a tool asks that makes another layer from this one
      (``nn.SyncBatchNorm.convert_sync_batchnorm``). Where PyTorch's layers lack what this one does, asking
      raises ``ValueError`` by the option's name.
    """

    __constants__ = []  # noqa: RUF012 - as in PyTorch; torch.jit.trace would ask for `affine`

    decay: float
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, num_features: int, decay: float, epsilon: float) -> None:
        # Not _BatchNorm's: that one has weight and bias start at 1 and 0, and reads `affine`.
        nn.Module.__init__(self)
        self.num_features = num_features
        self.decay = decay
        self.eps = epsilon
        self.track_running_stats = True
        self._cumulative = False
        self._momentum: float | None = None
        # What the layer was before it was converted.
        self.torch_class: type[_BatchNorm] | None = None

    @property
    def gamma(self) -> nn.Parameter | None:
        """The scale [C], or None: PyTorch's ``weight``."""
        return cast("nn.Parameter | None", self.weight)

    @gamma.setter
    def gamma(self, value: Tensor | None) -> None:
        self._assign("weight", value)

    @property
    def beta(self) -> nn.Parameter | None:
        """The offset [C], or None: PyTorch's ``bias``."""
        return cast("nn.Parameter | None", self.bias)

    @beta.setter
    def beta(self, value: Tensor | None) -> None:
        self._assign("bias", value)

    @property
    def moving_mean(self) -> Tensor:
        """The moving mean [C]: PyTorch's ``running_mean``."""
        return cast(Tensor, self.running_mean)

    @moving_mean.setter
    def moving_mean(self, value: Tensor | None) -> None:
        self.running_mean = value

    @property
    def moving_variance(self) -> Tensor:
        """The moving variance [C]: PyTorch's ``running_var``."""
        return cast(Tensor, self.running_var)

    @moving_variance.setter
    def moving_variance(self, value: Tensor | None) -> None:
        self.running_var = value

    @property
    def epsilon(self) -> float:
        """What is added to the variance: PyTorch's ``eps``."""
        return self.eps

    @epsilon.setter
    def epsilon(self, value: float) -> None:
        self.eps = check_epsilon(value)

    @property
    def momentum(self) -> float | None:
        """PyTorch's weight of the *new* value, ``1 - decay``; None while averages are cumulative."""
        if self._cumulative:
            return None
        # 1 - (1 - momentum) is not always momentum: a value that comes in goes out as it was.
        given = self._momentum
        if given is not None and decay_from_momentum(given) == self.decay:
            return given
        return momentum_from_decay(self.decay)

    @momentum.setter
    def momentum(self, value: float | None) -> None:
        self._cumulative = value is None
        if value is not None and value != self.momentum:
            self._momentum, self.decay = value, decay_from_momentum(value)

    @property
    def affine(self) -> bool:  # type: ignore[override]
        """Whether there is a ``weight`` or a ``bias``, if PyTorch's layers can do what this one does."""
        reason = self.unlike_torch()
        if reason is not None:
            return cast(bool, _NoAnswer(reason))
        return self.weight is not None or self.bias is not None

    def unlike_torch(self) -> str | None:
        """Return what this layer does that PyTorch's don't, by the option's name, or None."""
        raise NotImplementedError

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Register under PyTorch's name."""
        super().register_parameter(TORCH_NAMES.get(name, name), param)

    def _assign(self, name: str, value: Tensor | None) -> None:
        # A Parameter goes to register_parameter. A tensor comes from torch.func.functional_call,
        # which lends one for the time of a call.
        if value is None:
            setattr(self, name, None)
        else:
            self._parameters[name] = cast(nn.Parameter, value)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for old, new in TORCH_NAMES.items():
            if prefix + old in state_dict and prefix + new not in state_dict:
                state_dict[prefix + new] = state_dict.pop(prefix + old)
        super()._load_from_state_dict(state_dict, prefix, *args)


class _NoAnswer:
    """Stands for a yes or no that would be wrong either way: whoever asks gets a ``ValueError`` instead."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __bool__(self) -> bool:
        raise ValueError(self._reason)

    def __repr__(self) -> str:
        return f"<no answer: {self._reason}>"


def parameters_by_tensorflow_name(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield ``model.named_parameters()``, those of ``BatchNorm`` as ``gamma`` and ``beta``.

    Recorded tables name parameters so.
    """
    names = {new: old for old, new in TORCH_NAMES.items()}
    for name, parameter in model.named_parameters():
        owner, _, own = name.rpartition(".")
        if isinstance(model.get_submodule(owner), TorchFace) and own in names:
            own = names[own]
        yield f"{owner}.{own}" if owner else own, parameter
