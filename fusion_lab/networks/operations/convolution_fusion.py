"""Fusion by one convolution, what OAF replaces."""

import torch
from torch import Tensor, nn

from fusion_lab.networks.layers.strips import over_rows


class ConvolutionFusion(nn.Module):
    """Both sources side by side through a 3x3 convolution and a leaky ReLU (Ma et al., SwinFusion, 2022).

    Args:
        dim: Channels C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2 * dim, dim, 3, padding=1)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fuse the maps of both sources, ``(B, C, H, W)`` each, to ``(B, C, H, W)``."""
        return over_rows(lambda x, y: self.activation(self.convolution(torch.cat([x, y], dim=1))), [x, y], halo=1)
