"""The brighter of the sources."""

import torch
from torch import Tensor

from fusion_lab.networks.base import FusionNetwork


class Maximum(FusionNetwork):
    """The larger of the two sources at each pixel."""

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` to ``(B, 1, H, W)``, all in [0, 1]."""
        return torch.maximum(source_a, source_b)
