"""What the methods of several scales share."""

import torch
from torch import Tensor


def stronger(a: Tensor, b: Tensor) -> Tensor:
    """Give the coefficient of larger magnitude at each place, of ``a`` where both are equal; any shape."""
    return torch.where(a.abs() >= b.abs(), a, b)


def scales_that_fit(side: int, wanted: int) -> int:
    """Give how often a side of four pixels or more can be halved, but at most as often as wanted."""
    return max(0, min(wanted, (side // 4).bit_length()))
