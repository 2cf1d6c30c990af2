"""Padding of maps to sizes that a network can work on."""

import torch
from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grow ``(B, C, H, W)`` at the bottom and right to multiples of ``multiple``, mirrored without the edge pixel."""
    height, width = x.shape[-2:]
    if torch.compiler.is_exporting():
        # An exported program has no branch for sizes that are multiples already.
        rows, columns = ((side + multiple - 1) // multiple * multiple for side in (height, width))
        return _mirrored(_mirrored(x, -2, rows, edge=False), -1, columns, edge=False)
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="reflect") if bottom or right else x


def pad_to_next_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grow ``(B, C, H, W)`` at the bottom and right to the next *larger* multiples of ``multiple``.

    The mirror includes the edge pixel, and sides that are multiples already grow by a whole ``multiple``, as TITA's
    ``test.py`` does.
    """
    for dim in (-2, -1):
        size = x.shape[dim]
        if torch.compiler.is_exporting():
            x = _mirrored(x, dim, (size // multiple + 1) * multiple, edge=True)
            continue
        extra = multiple - size % multiple
        mirror = x.narrow(dim, size - extra, extra).flip(dim)
        x = torch.cat([x, mirror], dim)
    return x


def _mirrored(x: Tensor, dim: int, size: int, edge: bool) -> Tensor:
    """Grow a dimension to a size by its mirror image, with the edge pixel twice or once."""
    given = x.shape[dim]
    place = torch.arange(size, device=x.device)
    return x.index_select(dim, torch.where(place < given, place, 2 * given - (1 if edge else 2) - place))
