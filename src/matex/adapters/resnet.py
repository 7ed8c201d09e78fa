"""ResNet-50 stage by stage, with torchvision's names of weights and without its import.

Hidden states are grids [item, rows, columns, dim] after every stage. The functions take `ResNet` as well as
torchvision's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.library import Network
from matex.geometry import Size

STAGES = ("layer1", "layer2", "layer3", "layer4")


class BatchNorm(nn.Module):
    """Batch normalisation with fixed statistics, as at inference.

    Unlike torch's own it keeps no count of batches: an integer that no forward pass reads.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.running_mean, self.running_var = nn.Buffer(torch.zeros(dim)), nn.Buffer(torch.ones(dim))

    def forward(self, hidden: Tensor) -> Tensor:
        return F.batch_norm(hidden, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolution around a residual connection; the stride is on the 3x3 one."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), BatchNorm(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False), BatchNorm(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), BatchNorm(outputs)
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), BatchNorm(outputs))

    def forward(self, hidden: Tensor) -> Tensor:
        shortcut = hidden if self.downsample is None else self.downsample(hidden)
        hidden = self.bn1(self.conv1(hidden)).relu()
        hidden = self.bn2(self.conv2(hidden)).relu()
        return (self.bn3(self.conv3(hidden)) + shortcut).relu()


class ResNet(nn.Module):
    """A ResNet of bottleneck blocks; run it with the functions of this file.

    Args:
        blocks: per stage; (3, 4, 6, 3) is ResNet-50.
        width: channels of the stem.
        outputs: size of a last linear layer `fc` without bias; none otherwise.
    """

    def __init__(self, blocks: Sequence[int] = (3, 4, 6, 3), width: int = 64, outputs: int | None = None) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False), BatchNorm(width)
        inputs = width
        for number, count in enumerate(blocks):
            inner = width * 2**number
            strides = [1 if number == 0 else 2] + [1] * (count - 1)
            sizes = [inputs] + [inner * Bottleneck.expansion] * (count - 1)
            stage = [Bottleneck(size, inner, stride) for size, stride in zip(sizes, strides, strict=True)]
            self.add_module(STAGES[number], nn.Sequential(*stage))
            inputs = inner * Bottleneck.expansion
        self.dim = inputs
        if outputs is not None:
            self.fc = nn.Linear(inputs, outputs, bias=False)


def start(resnet: Network, pixels: Tensor) -> Tensor:
    """Pixels [item, 3, height, width] through the stem to the first stage's input [item, rows, columns, dim]."""
    hidden = resnet.bn1(resnet.conv1(pixels)).relu()
    return to_grid(F.max_pool2d(hidden, 3, 2, padding=1))


def stage(resnet: Network, layer: int, hidden: Tensor) -> Tensor:
    """Stage `layer`, counted from 0; all but the first halve rows and columns."""
    return to_grid(getattr(resnet, STAGES[layer])(to_channels(hidden)))


def grid(size: Size) -> Size:
    """(rows, columns) of the last of four stages for images of (height, width) pixels, halved five times."""
    return (-(-size[0] // 32), -(-size[1] // 32))


def parts(resnet: Network) -> dict[str, list[nn.Module]]:
    """Modules by stage, from the last one back to the stem ("embeddings")."""
    count = sum(hasattr(resnet, name) for name in STAGES)
    stages = {f"block {layer}": [getattr(resnet, STAGES[layer])] for layer in reversed(range(count))}
    return {**stages, "embeddings": [resnet.conv1, resnet.bn1]}


def mean(hidden: Tensor) -> Tensor:
    """Mean over the grid [item, rows, columns, dim], [item, dim]."""
    return hidden.mean(dim=(1, 2))


def to_grid(hidden: Tensor) -> Tensor:
    """[item, dim, rows, columns] to [item, rows, columns, dim]; a view."""
    return hidden.permute(0, 2, 3, 1)


def to_channels(hidden: Tensor) -> Tensor:
    """[item, rows, columns, dim] to [item, dim, rows, columns]; a view."""
    return hidden.permute(0, 3, 1, 2)
