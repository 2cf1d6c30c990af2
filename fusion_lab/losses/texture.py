"""The texture term."""

import torch
from torch import Tensor

from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.filters import sobel_magnitude
from fusion_lab.types import Sample


class Texture(LossTerm):
    """Mean absolute difference of the Sobel magnitude from the larger one of the sources (SwinFusion; TITA)."""

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        target = torch.maximum(sobel_magnitude(sample["source_a"]), sobel_magnitude(sample["source_b"]))
        return (sobel_magnitude(fused) - target).abs().mean()
