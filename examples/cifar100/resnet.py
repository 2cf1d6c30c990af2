"""Residual networks for small images (He et al., "Deep residual learning for image recognition", CVPR 2016)."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the way around them, which has no parameters (option A of the paper)."""

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        self.stride = dim // in_dim
        self.conv1, self.norm1 = nn.Conv2d(in_dim, dim, 3, self.stride, 1, bias=False), nn.BatchNorm2d(dim)
        self.conv2, self.norm2 = nn.Conv2d(dim, dim, 3, 1, 1, bias=False), nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Turn ``(B, C, H, W)`` into as much, or into ``(B, 2 C, H / 2, W / 2)``."""
        inner = self.norm1(self.conv1(x)).relu()
        inner = self.norm2(self.conv2(inner))
        around = x[..., :: self.stride, :: self.stride]
        around = F.pad(around, (0, 0, 0, 0, 0, inner.shape[1] - x.shape[1]))
        return (inner + around).relu()


class ResNet(nn.Module):
    """A classifier of images of about 32 pixels; 9 blocks a stage make ResNet-56.

    Args:
        num_classes: Classes.
        blocks: Blocks of each of the three stages; the depth is six times as much and two.
    """

    def __init__(self, num_classes: int = 100, blocks: int = 9) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
        dims = [WIDTHS[0], *(width for width in WIDTHS for _ in range(blocks))]
        self.blocks = nn.Sequential(*[ResidualBlock(a, b) for a, b in pairwise(dims)])
        self.classifier = nn.Linear(WIDTHS[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Return a score for every class, ``(B, classes)``, of normalised images ``(B, 3, H, W)``."""
        features: Tensor = self.blocks(self.stem(images))
        return self.classifier(features.mean(dim=(2, 3)))
