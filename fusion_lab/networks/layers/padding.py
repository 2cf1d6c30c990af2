"""Padding of maps to sizes that a network can work on."""

import torch
from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grow ``(B, C, H, W)`` at the bottom and right to multiples of ``multiple``, mirrored without the edge pixel."""
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="reflect") if bottom or right else x


def pad_to_next_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grow ``(B, C, H, W)`` at the bottom and right to the next *larger* multiples of ``multiple``.

    The mirror includes the edge pixel, and sides that are multiples already grow by a whole ``multiple``, as TITA's
    ``test.py`` does.
    """
    for dim in (-2, -1):
        size = x.shape[dim]
        extra = multiple - size % multiple
        mirror = x.narrow(dim, size - extra, extra).flip(dim)
        x = torch.cat([x, mirror], dim)
    return x
