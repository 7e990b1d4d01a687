"""Adam and SGD over networks side by side, a learning rate and a penalty for each of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Optimizer:
    """The parameters of R networks side by side, and their gradients, as one vector each.

    One vector, because an update is then a handful of kernels whatever the number of parameters.
    A parameter of ``net`` becomes a view of ``values``, and its ``grad`` one of ``gradients``; both hold
    member after member on the parameter's first axis.

    ``step(rates)`` reads nothing from the host, so that a CUDA graph can hold it.

    Args:
        net: the networks.
        members: R, their number.
        weight_decay: one L2 penalty a member; its gradient is the penalty times the weights of
            each convolution (biases, ``beta`` and ``gamma`` have none).
    """

    def __init__(self, net: nn.Module, members: int, weight_decay: Sequence[float]) -> None:
        parameters = list(net.parameters())
        like = parameters[0]
        self.values = torch.cat([_in_memory_order(p.detach()) for p in parameters])
        self.gradients = torch.zeros_like(self.values)
        self._member = torch.empty_like(self.values, dtype=torch.int64)
        penalised = torch.zeros_like(self.values)
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            shape, stride = parameter.shape, parameter.stride()
            parameter.data = self.values.as_strided(shape, stride, start)
            parameter.grad = self.gradients.as_strided(shape, stride, start)
            each = torch.arange(members, device=like.device).repeat_interleave(parameter.numel() // members)
            self._member[start:end] = each
            penalised[start:end] = float(parameter.dim() > 1)
            start = end
        penalties = torch.tensor(list(weight_decay), dtype=like.dtype, device=like.device)
        self._penalty = self._each(penalties) * penalised if any(weight_decay) else None

    def zero_grad(self) -> None:
        """Set every gradient to 0, in place."""
        self.gradients.zero_()

    @torch.no_grad()
    def step(self, rates: Tensor) -> None:
        """Update every parameter by its gradient, with the learning rates float64 [R] of this step."""
        gradient = self.gradients
        if self._penalty is not None:
            gradient = torch.addcmul(gradient, self._penalty, self.values)
        self._update(gradient, rates)

    def _update(self, gradient: Tensor, rates: Tensor) -> None:
        raise NotImplementedError

    def _each(self, values: Tensor) -> Tensor:
        """Return each parameter's entry of ``values`` [R], in the parameters' dtype."""
        return values.to(self.values.dtype).index_select(0, self._member)


class SGD(Optimizer):
    """Gradient descent with heavy-ball momentum: ``m = momentum * m + g``, ``w -= rate * m``.

    ``turns``: parts of ``net`` that have all its parameters between them. Each step then updates one of
    them alone, the next step the next.
    """

    def __init__(
        self,
        net: nn.Module,
        members: int,
        weight_decay: Sequence[float],
        momentum: float = 0.0,
        turns: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(net, members, weight_decay)
        self._momentum = momentum
        self._velocity = torch.zeros_like(self.values)
        self._turns = len(turns)
        if turns:
            whose = {p: i for i, module in enumerate(turns) for p in module.parameters()}
            sizes = torch.tensor([p.numel() for p in net.parameters()])
            turn = torch.tensor([whose[p] for p in net.parameters()]).repeat_interleave(sizes)
            self._turn = turn.to(self.values.device)
            self._steps = torch.zeros((), dtype=torch.int64, device=self.values.device)

    def _update(self, gradient: Tensor, rates: Tensor) -> None:
        if self._turns:
            gradient = gradient.where(self._turn == self._steps % self._turns, 0.0)
            self._steps += 1
        self._velocity.mul_(self._momentum).add_(gradient)
        self.values.addcmul_(self._each(rates), self._velocity, value=-1.0)


class Adam(Optimizer):
    """Adam with TensorFlow's and PyTorch's common defaults (Kingma & Ba 2015, Algorithm 1)."""

    BETAS = (0.9, 0.999)
    EPSILON = 1e-8

    def __init__(self, net: nn.Module, members: int, weight_decay: Sequence[float]) -> None:
        super().__init__(net, members, weight_decay)
        self._mean = torch.zeros_like(self.values)
        self._square = torch.zeros_like(self.values)
        self._steps = torch.zeros((), dtype=torch.float64, device=self.values.device)
        self._betas = torch.tensor(self.BETAS, dtype=torch.float64, device=self.values.device)

    def _update(self, gradient: Tensor, rates: Tensor) -> None:
        self._steps += 1.0
        mean_weight, square_weight = 1.0 - self._betas**self._steps
        self._mean.lerp_(gradient, 1.0 - self.BETAS[0])
        self._square.mul_(self.BETAS[1]).addcmul_(gradient, gradient, value=1.0 - self.BETAS[1])
        root = self._square.sqrt().div_(square_weight.sqrt()).add_(self.EPSILON)
        self.values.addcdiv_(self._each(rates / mean_weight).mul_(self._mean), root, value=-1.0)


def _in_memory_order(x: Tensor) -> Tensor:
    """Return the values of a dense tensor in the order in which memory holds them."""
    return x.as_strided((x.numel(),), (1,))
