"""What the methods of several scales share."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor


def strongest(maps: Sequence[Tensor]) -> Tensor:
    """Return the coefficient of largest magnitude at each place, the first of equal ones; any shape."""
    return reduce(lambda a, b: torch.where(a.abs() >= b.abs(), a, b), maps)


def scales_that_fit(side: int, wanted: int) -> int:
    """Return how often a side of four pixels or more can be halved, but at most as often as wanted."""
    return max(0, min(wanted, (side // 4).bit_length()))
