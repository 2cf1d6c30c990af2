"""DenseNet121's features (Huang et al., "Densely connected convolutional networks", CVPR 2017)."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

GROWTH = 32
LAYERS = (6, 12, 24, 16)
"""Layers of each dense block."""


class DenseLayer(nn.Module):
    """Two convolutions that add ``GROWTH`` channels to those that they see."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(dim), nn.Conv2d(dim, 4 * GROWTH, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * GROWTH), nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Lengthen ``(B, C, H, W)`` to ``(B, C + GROWTH, H, W)``."""
        inner = self.conv1(self.norm1(x).relu())
        return torch.cat([x, self.conv2(self.norm2(inner).relu())], dim=1)


class DenseNet121(nn.Module):
    """The features of five levels, without the classifier."""

    def __init__(self) -> None:
        super().__init__()
        dim = 2 * GROWTH
        self.stem = nn.Sequential(
            nn.Conv2d(3, dim, 7, 2, 3, bias=False), nn.BatchNorm2d(dim), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        for layers in LAYERS:
            self.blocks.append(nn.Sequential(*[DenseLayer(dim + i * GROWTH) for i in range(layers)]))
            dim += layers * GROWTH
            if len(self.blocks) < len(LAYERS):
                halve = nn.Conv2d(dim, dim // 2, 1, bias=False)
                self.transitions.append(nn.Sequential(nn.BatchNorm2d(dim), nn.ReLU(), halve, nn.AvgPool2d(2)))
                dim //= 2

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the features of ``(B, 3, H, W)`` after the stem, the three transitions and the last block."""
        levels = [self.stem(images)]
        for block, transition in zip(self.blocks, self.transitions, strict=False):
            levels.append(transition(block(levels[-1])))
        return [*levels, self.blocks[-1](levels[-1])]


def rename_official(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rename torchvision's tensors to those of `DenseNet121`; what lies behind the features is left out."""
    names = (
        (r"^features\.conv0", lambda m: "stem.0"),
        (r"^features\.norm0", lambda m: "stem.1"),
        (r"^features\.denseblock(\d)\.denselayer(\d+)", lambda m: f"blocks.{int(m[1]) - 1}.{int(m[2]) - 1}"),
        (r"^features\.transition(\d)\.norm", lambda m: f"transitions.{int(m[1]) - 1}.0"),
        (r"^features\.transition(\d)\.conv", lambda m: f"transitions.{int(m[1]) - 1}.2"),
        # As stored before 2018: norm.1 for norm1.
        (r"\.(norm|conv)\.([12])\.", lambda m: f".{m[1]}{m[2]}."),
    )
    renamed = {}
    for name, tensor in state.items():
        if re.match(r"features\.norm5|classifier", name):
            continue
        for pattern, ours in names:
            name = re.sub(pattern, ours, name)
        renamed[name] = tensor
    return renamed
