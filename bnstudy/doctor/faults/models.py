"""Small networks of several kinds, for 10 classes: some to develop checks on, others to judge them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10


class Cnn(nn.Module):
    """Two convolutions with batch norm, and a classifier."""

    def __init__(self, channels: int, side: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.drop = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=side // 4, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, 10] of images [N, C, S, S]."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(self.drop(x))))
        return self.head(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Two hidden layers with batch norm, on pixels."""

    def __init__(self, channels: int, side: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels * side * side, 48)
        self.bn1 = nn.BatchNorm1d(48)
        self.drop = nn.Dropout(dropout)
        self.fc2 = nn.Linear(48, 48, bias=False)
        self.bn2 = nn.BatchNorm1d(48)
        self.head = nn.Linear(48, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, 10] of images [N, C, S, S]."""
        x = torch.relu(self.bn1(self.fc1(x.flatten(1))))
        return self.head(torch.relu(self.bn2(self.fc2(self.drop(x)))))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """A stem and two residual blocks, one with a projection."""

    def __init__(self, channels: int, side: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.first = _Block(16, 16, 1, dropout)
        self.second = _Block(16, 32, side // 4, dropout)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, 10] of images [N, C, S, S]."""
        x = self.second(self.first(self.stem(x)))
        return self.head(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.drop = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.short = nn.Sequential()
        if before != after:
            self.short = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.drop(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(y + self.short(x))


class Separable(nn.Module):
    """Depthwise-separable convolutions with batch norm behind each, no bias."""

    def __init__(self, channels: int, side: int, dropout: float = 0.0) -> None:
        super().__init__()

        def unit(before: int, after: int, stride: int) -> list[nn.Module]:
            return [
                nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False),
                nn.BatchNorm2d(before),
                nn.ReLU6(),
                nn.Conv2d(before, after, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU6(),
            ]

        stem = [nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()]
        drop = nn.Dropout(dropout)
        self.features = nn.Sequential(*stem, *unit(16, 24, 1), drop, *unit(24, 40, side // 4))
        self.head = nn.Linear(40, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, 10] of images [N, C, S, S]."""
        return self.head(self.features(x).mean(dim=(2, 3)))  # type: ignore[no-any-return]


class PreActivation(nn.Module):
    """Batch norm in front of each convolution, the first on the image itself, and one on vectors."""

    def __init__(self, channels: int, side: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm0 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 20, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(20)
        self.conv2 = nn.Conv2d(20, 32, 3, stride=side // 4, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(32 * 4, 40, bias=False)
        self.norm3 = nn.BatchNorm1d(40)
        self.head = nn.Linear(40, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, 10] of images [N, C, S, S]."""
        x = self.conv1(self.norm0(x))
        x = torch.relu(self.norm2(self.conv2(torch.relu(self.norm1(x)))))
        x = self.fc(self.drop(F.adaptive_avg_pool2d(x, 2).flatten(1)))
        return self.head(torch.relu(self.norm3(x)))  # type: ignore[no-any-return]


Builder = Callable[[int, int, float], nn.Module]

# Checks were written and their thresholds chosen on the first, and are judged on the others.
DEVELOPED_ON: dict[str, Builder] = {"cnn": Cnn, "mlp": Mlp}
JUDGED_ON: dict[str, Builder] = {
    "residual": Residual,
    "separable": Separable,
    "pre-activation": PreActivation,
}
MODELS: dict[str, Builder] = {**DEVELOPED_ON, **JUDGED_ON}
