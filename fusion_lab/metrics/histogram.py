"""Histograms of grey levels and their entropies, the ground of every information metric."""

from typing import NamedTuple

import torch
from torch import Tensor

from fusion_lab.metrics.base import ratio

LEVELS = 256
"""The number of grey levels of an 8-bit image, one bin each."""


class Entropies(NamedTuple):
    """Entropies in nats of pairs of images, ``(B,)`` each."""

    first: Tensor
    second: Tensor
    joint: Tensor

    @property
    def mutual(self) -> Tensor:
        """``I(X;Y) = H(X) + H(Y) - H(X,Y)``, ``(B,)``, not negative."""
        return (self.first + self.second - self.joint).clamp(min=0)


def joint_distribution(first: Tensor, second: Tensor) -> Tensor:
    """Return the relative frequency of each pair of grey levels.

    Args:
        first: ``(B, H, W)``, integers 0..255 in floating point.
        second: Like ``first``.

    Returns:
        ``(B, 256, 256)`` in the dtype of the images; entry ``[b, i, j]`` belongs to level i of ``first`` and j of
        ``second``. Each image's sum is 1; sums over one axis are the distributions of the single images.
    """
    batch, pixels = len(first), first[0].numel()
    image = torch.arange(batch, device=first.device).view(batch, 1, 1)
    bins = (image * LEVELS + first.long()) * LEVELS + second.long()
    counts = torch.bincount(bins.flatten(), minlength=batch * LEVELS * LEVELS)
    return counts.view(batch, LEVELS, LEVELS).to(first.dtype) / pixels


def distribution(image: Tensor) -> Tensor:
    """Return the relative frequency of each grey level: ``(B, H, W)`` to ``(B, 256)`` in its dtype."""
    batch = len(image)
    bins = torch.arange(batch, device=image.device).view(batch, 1, 1) * LEVELS + image.long()
    counts = torch.bincount(bins.flatten(), minlength=batch * LEVELS)
    return counts.view(batch, LEVELS).to(image.dtype) / image[0].numel()


def entropies(joint: Tensor) -> Entropies:
    """Return the entropies of both images and of the pair from their joint distribution, ``(B, 256, 256)``."""
    first, second = joint.sum(2), joint.sum(1)
    entr = torch.special.entr
    return Entropies(entr(first).sum(-1), entr(second).sum(-1), entr(joint).sum((1, 2)))


def stretch(level: Tensor) -> Tensor:
    """Stretch each image to integers 0..255, as VIFB does first in many metrics; a constant image becomes 0.

    Args:
        level: ``(B, H, W)``.

    Returns:
        ``floor((x - min) / (max - min) * 255 + 0.5)``, same shape.
    """
    low, high = level.amin((1, 2), keepdim=True), level.amax((1, 2), keepdim=True)
    return torch.floor(ratio(level - low, high - low) * 255 + 0.5)
