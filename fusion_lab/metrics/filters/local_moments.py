"""Local means, variances and covariances, the ground of every metric of structure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class LocalMoments(NamedTuple):
    """What `local_moments` gives: ``(B, K, h, w)``, the covariances ``(B, P, h, w)``."""

    mean: Tensor
    variance: Tensor
    covariance: Tensor


def local_moments(
    planes: Tensor, pairs: Sequence[tuple[int, int]], local_mean: Callable[[Tensor], Tensor]
) -> LocalMoments:
    """Take the moments of some images in the same windows.

    Args:
        planes: ``(B, K, H, W)`` in floating point.
        pairs: Which of the K images to take the covariance of: P pairs of numbers from 0.
        local_mean: Filters ``(B, L, H, W)`` with weights that sum to 1.

    Returns:
        The moments; no variance is negative.
    """
    # Variances ignore the level. Near 0 they lose fewer digits, integers stay integers, constant images become 0.
    level = planes.mean((2, 3), keepdim=True).round()
    planes = planes - level
    mean = local_mean(planes)
    variance = (local_mean(planes.square()) - mean.square()).clamp(min=0)
    products = local_mean(torch.stack([planes[:, first] * planes[:, second] for first, second in pairs], dim=1))
    covariance = products - torch.stack([mean[:, first] * mean[:, second] for first, second in pairs], dim=1)
    return LocalMoments(mean + level, variance, covariance)
