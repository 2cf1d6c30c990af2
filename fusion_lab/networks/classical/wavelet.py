"""Fusion by wavelets."""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.classical.selection import scales_that_fit, stronger


class Wavelet(FusionNetwork):
    """The stronger wavelet coefficient of each scale and direction on the mean of the coarsest approximation.

    As Li, Manjunath and Mitra, "Multisensor image fusion using the wavelet transform", Graphical Models and Image
    Processing 1995, but each coefficient is chosen by itself. The wavelet is that of Daubechies with four taps.

    Args:
        levels: Scales of detail.
    """

    def __init__(self, levels: int = 4) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"`levels` should be at least 1. Found `levels = {levels}`.")
        self.levels = levels

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        height, width = source_a.shape[-2:]
        levels = scales_that_fit(min(height, width), self.levels)
        # The transform wraps around: what it mixes in from the far side is to be a mirror image of the near one.
        border = min(3 * 2**levels, height - 1, width - 1)
        bottom, right = (-(side + 2 * border) % 2**levels for side in (height, width))
        padded = F.pad(torch.cat([source_a, source_b]), (border, border, border, border), mode="reflect")
        padded = F.pad(padded, (0, right, 0, bottom), mode="replicate")
        a, b = padded.chunk(2)
        fused = self._fuse(a, b, levels)
        return fused[..., border : border + height, border : border + width]

    def _fuse(self, a: Tensor, b: Tensor, levels: int) -> Tensor:
        if levels == 0:
            return (a + b) / 2
        rows, columns = (_orthogonal(side, a.dtype, a.device) for side in a.shape[-2:])
        bands_a, bands_b = (rows @ image @ columns.T for image in (a, b))
        fused = stronger(bands_a, bands_b)
        half = (..., slice(0, a.shape[-2] // 2), slice(0, a.shape[-1] // 2))
        fused[half] = self._fuse(bands_a[half], bands_b[half], levels - 1)
        return rows.T @ fused @ columns


@lru_cache(maxsize=64)
def _orthogonal(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Give the orthogonal matrix ``(side, side)`` of one step of the transform: approximation above, detail below."""
    root = math.sqrt(3)
    low = torch.tensor([1 + root, 3 + root, 3 - root, 1 - root], dtype=torch.float64) / (4 * math.sqrt(2))
    high = low.flip(0) * torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)
    # Neither a tensor of inference mode nor one of another precision may stay in the cache.
    with torch.inference_mode(False):
        matrix = torch.zeros(side, side, dtype=torch.float64)
        places = (2 * torch.arange(side // 2)[:, None] + torch.arange(len(low))) % side
        for first, taps in ((0, low), (side // 2, high)):
            rows = first + torch.arange(side // 2)[:, None].expand_as(places)
            matrix.index_put_((rows, places), taps.expand_as(places), accumulate=True)
        return matrix.to(device, dtype)
