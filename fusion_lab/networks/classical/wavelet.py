"""Fusion by wavelets."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.networks.base import ManySourceNetwork
from fusion_lab.networks.classical.selection import scales_that_fit, strongest


class Wavelet(ManySourceNetwork):
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

    def fuse_all(self, sources: Sequence[Tensor]) -> Tensor:
        """Fuse sources ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        height, width = sources[0].shape[-2:]
        levels = scales_that_fit(min(height, width), self.levels)
        # The transform wraps around: what it mixes in from the far side is to be a mirror image of the near one.
        border = min(3 * 2**levels, height - 1, width - 1)
        bottom, right = (-(side + 2 * border) % 2**levels for side in (height, width))
        padded = F.pad(torch.cat(list(sources)), (border, border, border, border), mode="reflect")
        padded = F.pad(padded, (0, right, 0, bottom), mode="replicate")
        fused = self._fuse(padded.chunk(len(sources)), levels)
        return fused[..., border : border + height, border : border + width]

    def _fuse(self, images: Sequence[Tensor], levels: int) -> Tensor:
        first = images[0]
        if levels == 0:
            return torch.stack(list(images)).mean(dim=0)
        rows, columns = (_orthogonal(side, first.dtype, first.device) for side in first.shape[-2:])
        bands = [rows @ image @ columns.T for image in images]
        fused = strongest(bands)
        half = (..., slice(0, first.shape[-2] // 2), slice(0, first.shape[-1] // 2))
        fused[half] = self._fuse([band[half] for band in bands], levels - 1)
        return rows.T @ fused @ columns


@lru_cache(maxsize=64)
def _orthogonal(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the orthogonal matrix ``(side, side)`` of one step of the transform: approximation above, detail below."""
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
