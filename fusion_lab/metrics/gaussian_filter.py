"""Gaussian filtering by two products with banded matrices.

On a CPU this is several times faster than a convolution and as fast for 31 taps as for 3.
"""

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=32)
def _band(side: int, taps: int, sigma: float, stride: int, device: torch.device) -> Tensor:
    """Give the matrix ``(ceil((side - taps + 1) / stride), side)`` that filters one axis without padding."""
    # The cache may be filled under inference mode and used where gradients are wanted.
    with torch.inference_mode(False):
        offset = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
        kernel = torch.exp(-offset.square() / (2 * sigma**2))
        kernel /= kernel.sum()
        starts = torch.arange(0, side - taps + 1, stride)
        band = torch.zeros(len(starts), side, dtype=torch.float64)
        band.scatter_(1, starts[:, None] + torch.arange(taps), kernel.expand(len(starts), taps))
        return band.to(device)


def gaussian_filter(planes: Tensor, taps: int, sigma: float, stride: int = 1) -> Tensor:
    """Filter without padding and keep every ``stride``-th row and column.

    Args:
        planes: ``(..., H, W)`` in float64.
        taps: Side of the window in pixels, not above H and W; the taps sum to 1.
        sigma: Standard deviation of the Gaussian in pixels.
        stride: Step between the kept samples, the first one included.

    Returns:
        ``(..., ceil((H - taps + 1) / stride), ceil((W - taps + 1) / stride))``.
    """
    height, width = planes.shape[-2:]
    rows = _band(height, taps, sigma, stride, planes.device)
    columns = _band(width, taps, sigma, stride, planes.device)
    return rows @ planes @ columns.T
