"""The ordinary way to train: a DataLoader loop in float32, written as people write it.

The same network, batch size and optimiser as the article's run in ``bnstudy``, and nothing of ``bnstudy``.
``bnstudy bench`` times it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Images(Dataset):
    """What ``torchvision.datasets.CIFAR10`` does with its arrays."""

    def __init__(self, data: np.ndarray, targets: np.ndarray, transform) -> None:
        self.data, self.targets, self.transform = data, targets.tolist(), transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int):
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [3, 64, 64, 32, 16, 10]
        for i in range(5):
            layers += [
                nn.Conv2d(widths[i], widths[i + 1], 3, padding=1),
                nn.BatchNorm2d(widths[i + 1]),
                nn.ReLU(),
            ]
            if i < 4:
                layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten())

    def forward(self, x):
        return self.layers(x)


def steps(data: np.ndarray, targets: np.ndarray, batch_size: int, workers: int) -> Iterator[float]:
    """Train for ever; yield the loss after each step. The workers stay between epochs."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    loader = DataLoader(
        Images(data, targets, transform),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    net = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    net.train()
    while True:
        for inputs, labels in loader:
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            yield loss.item()
