"""Small networks of every kind that a probe must cope with, each with inputs and a loss."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision.models import ConvNeXt, MobileNetV2, ResNet
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock

from bnstudy.norm import BatchNorm
from bnstudy.train.network import ArticleNet

CLASSES = 10


class Mlp(nn.Module):
    """BatchNorm1d, dropout as a module and as a function, a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, 24)
        self.bn1 = nn.BatchNorm1d(24)
        self.drop = nn.Dropout(0.3)
        self.frozen = nn.Linear(24, 24).requires_grad_(False)
        self.bn2 = nn.BatchNorm1d(24)
        self.fc2 = nn.Linear(24, CLASSES)
        self.fc2.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(self.drop(torch.relu(self.bn1(self.fc1(x)))), 0.2, self.training)
        return self.fc2(F.dropout(torch.tanh(self.bn2(self.frozen(x))), 0.2, self.training))


class Fading(nn.Module):
    """Halves its output with every call: an attribute is part of the computation."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 1.0

    def forward(self, x: Tensor) -> Tensor:
        self.factor /= 2
        return x * self.factor


class Shared(nn.Module):
    """A module called twice, with batch normalization in it, and a weight that two modules hold."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(12, 16)
        self.block = nn.Sequential(
            nn.Linear(16, 16), BatchNorm(16, scale=True, renorm=True), nn.Tanh(), nn.Dropout(0.1), Fading()
        )
        self.middle = nn.Linear(16, 16)
        self.tied = nn.Linear(16, 16)
        self.tied.weight = self.middle.weight
        self.end = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.start(x))
        x = torch.relu(self.middle(x)) + x
        return self.end(torch.relu(self.tied(self.block(x))))


class Early(nn.Module):
    """A weight that the parent uses before its module is called, and one whose module is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, 12)
        self.fc2 = nn.Linear(12, 12)
        self.fc3 = nn.Linear(12, 12)
        self.never = nn.Linear(12, CLASSES, bias=False)
        self.scale = nn.Parameter(torch.ones(12))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.fc1(x * self.scale))
        x = torch.tanh(x @ self.fc3.weight)
        x = torch.tanh(self.fc2(x))
        return F.linear(self.fc3(x), self.never.weight)


class InPlace(nn.Module):
    """Values that change after the module that gave them has returned."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, CLASSES)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        a = self.fc1(x)
        a += 0.5
        b = self.relu(a)
        c = self.fc2(a + b)
        c += a
        return self.fc3(self.relu(c) * a)


class Checkpointed(nn.Module):
    """Layers that are called again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, 16)
        self.block = nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.2), nn.Tanh())
        self.fc2 = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(checkpoint(self.block, self.fc1(x), use_reentrant=False))


class Transformer(nn.Module):
    """An embedding of tokens, a learned position that the root owns, attention and LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.position = nn.Parameter(0.1 * torch.randn(6, 16))
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.embedding(x) + self.position).mean(dim=1))


class Recurrent(nn.Module):
    """An LSTM, whose weights hang in a list of its own too, and batch normalization of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(x.reshape(-1, 3, 4))
        return self.head(self.norm(out.transpose(1, 2)).mean(dim=2))


class FineTuned(nn.Module):
    """A frozen backbone, whose batch normalization stays in evaluation mode, in front of a new head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.backbone.requires_grad_(False)
        self.middle = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.head = nn.Linear(16, CLASSES)

    def train(self, mode: bool = True) -> FineTuned:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.backbone(x)))


@dataclass(frozen=True)
class Specimen:
    """``build()`` gives the network; ``batch(generator)`` an input and a target; all under ``context()``."""

    build: Callable[[], nn.Module]
    batch: Callable[[torch.Generator], tuple[Tensor, Tensor]]
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    learning_rate: float = 0.05
    # Parameters by layer in order of execution, where the order of calls doesn't tell.
    layers: dict[str, list[str]] | None = None

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target)


def _images(size: int, n: int = 4) -> Callable[[torch.Generator], tuple[Tensor, Tensor]]:
    def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return torch.randn(n, 3, size, size, generator=generator), _labels(n, generator)

    return batch


def _vectors(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(16, 12, generator=generator), _labels(16, generator)


def _tokens(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randint(0, 20, (8, 6), generator=generator), _labels(8, generator)


def _labels(n: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, CLASSES, (n,), generator=generator)


def _resnet() -> nn.Module:
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES)


def _mobilenet() -> nn.Module:
    return MobileNetV2(CLASSES, width_mult=0.25, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2]])


def _convnext() -> nn.Module:
    return ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], 0.0, num_classes=CLASSES)


def _compiled() -> nn.Module:
    model = Mlp()
    # Inside and outside; "eager" leaves out code generation alone.
    model.fc2 = torch.compile(model.fc2, backend="eager")  # type: ignore[assignment]
    return torch.compile(model, backend="eager")  # type: ignore[return-value]


def _bfloat16() -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16)


ZOO = {
    "article-bn": Specimen(lambda: ArticleNet(initialisation="default", scale=True), _images(32)),
    "article-plain": Specimen(lambda: ArticleNet(norm="none", initialisation="default"), _images(32)),
    "resnet": Specimen(_resnet, _images(16)),
    "mobilenet": Specimen(_mobilenet, _images(16)),
    "convnext": Specimen(_convnext, _images(16)),
    "mlp": Specimen(Mlp, _vectors),
    "recurrent": Specimen(Recurrent, _vectors),
    "fine-tuned": Specimen(FineTuned, _vectors),
    "transformer": Specimen(Transformer, _tokens),
    "shared": Specimen(Shared, _vectors),
    "early": Specimen(
        Early,
        _vectors,
        layers={
            "": ["scale"],
            "fc1": ["fc1.weight", "fc1.bias"],
            "fc3": ["fc3.weight", "fc3.bias"],
            "fc2": ["fc2.weight", "fc2.bias"],
            "never": ["never.weight"],
        },
    ),
    "in-place": Specimen(InPlace, _vectors),
    "checkpointed": Specimen(Checkpointed, _vectors),
    "compiled": Specimen(_compiled, _vectors),
    "bfloat16": Specimen(Mlp, _vectors, _bfloat16),
}


def built(name: str) -> nn.Module:
    """Return the network, always with the same weights."""
    torch.manual_seed(1)
    return ZOO[name].build()
