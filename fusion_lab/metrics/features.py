"""The feature maps whose information FMI measures."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.metrics.filters.gradients import sobel


def edges(level: Tensor) -> Tensor:
    """Sobel's edges, thinned to one pixel, as MATLAB's ``edge`` finds them: ``(B, H, W)`` to 0 and 1.

    An edge is a pixel whose squared gradient is above four times the mean of the image and not below its neighbours
    across the edge, the pixels beyond the border counting as lower.
    """
    horizontal, vertical = sobel(F.pad(level[:, None], (1, 1, 1, 1), mode="replicate")[:, 0])
    strength = horizontal.square() + vertical.square()
    # Below every strength: what lies beyond the border never hides an edge.
    beyond = F.pad(strength, (1, 1, 1, 1), value=-1)
    left, right = beyond[:, 1:-1, :-2], beyond[:, 1:-1, 2:]
    above, below = beyond[:, :-2, 1:-1], beyond[:, 2:, 1:-1]
    mostly_horizontal = horizontal.abs() >= vertical.abs()
    mostly_vertical = vertical.abs() >= horizontal.abs()
    ridge = (mostly_horizontal & (left <= strength) & (strength > right)) | (
        mostly_vertical & (above <= strength) & (strength > below)
    )
    return (ridge & (strength > 4 * strength.mean((1, 2), keepdim=True))).to(level.dtype)


def horizontal_gradient(level: Tensor) -> Tensor:
    """Central differences along the rows, one-sided at the border: ``(B, H, W)`` to the same shape."""
    (gradient,) = torch.gradient(level, dim=2)
    return gradient


def cosine_transform(level: Tensor) -> Tensor:
    """The orthonormal two-dimensional DCT-II of each whole image: ``(B, H, W)`` to the same shape."""
    rows, columns = (_cosines(side, level.dtype, level.device) for side in level.shape[1:])
    # The mean goes into the first coefficient alone: left in the image, it would leave rounding noise in all others,
    # which in a constant image is everything that FMI sees.
    mean = level.mean((1, 2), keepdim=True)
    coefficients = rows @ (level - mean) @ columns.T
    coefficients[:, :1, :1] += mean * math.sqrt(level[0].numel())
    return coefficients


@lru_cache(maxsize=8)
def _cosines(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # The cache may be filled under inference mode and used where gradients are wanted.
    with torch.inference_mode(False):
        index = torch.arange(side, dtype=torch.float64)
        matrix = torch.cos(math.pi / side * torch.outer(index, index + 0.5)) * math.sqrt(2 / side)
        matrix[0] /= math.sqrt(2)
        return matrix.to(device, dtype)


def pixels(level: Tensor) -> Tensor:
    """The image itself."""
    return level


FEATURES: dict[str, Callable[[Tensor], Tensor]] = {
    "edge": edges,
    "gradient": horizontal_gradient,
    "dct": cosine_transform,
    "pixel": pixels,
}
