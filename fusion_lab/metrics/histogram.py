"""Joint histograms of grey levels, the ground of every information metric."""

import torch
from torch import Tensor

LEVELS = 256
"""The number of grey levels of an 8-bit image, one bin each."""


def joint_distribution(first: Tensor, second: Tensor) -> Tensor:
    """Give the relative frequency of each pair of grey levels.

    Args:
        first: ``(B, H, W)``, integers 0..255 in floating point.
        second: Like ``first``.

    Returns:
        ``(B, 256, 256)`` in float64; entry ``[b, i, j]`` belongs to level i of ``first`` and j of ``second``.
        Each image's sum is 1; sums over one axis are the distributions of the single images.
    """
    batch, pixels = len(first), first[0].numel()
    image = torch.arange(batch, device=first.device).view(batch, 1, 1)
    bins = (image * LEVELS + first.long()) * LEVELS + second.long()
    counts = torch.bincount(bins.flatten(), minlength=batch * LEVELS * LEVELS)
    return counts.view(batch, LEVELS, LEVELS).double() / pixels


def distribution(image: Tensor) -> Tensor:
    """Give the relative frequency of each grey level: ``(B, H, W)`` to ``(B, 256)`` in float64."""
    batch = len(image)
    bins = torch.arange(batch, device=image.device).view(batch, 1, 1) * LEVELS + image.long()
    counts = torch.bincount(bins.flatten(), minlength=batch * LEVELS)
    return counts.view(batch, LEVELS).double() / image[0].numel()
