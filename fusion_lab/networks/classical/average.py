"""The mean of the sources."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fusion_lab.networks.base import ManySourceNetwork


class Average(ManySourceNetwork):
    """The plain mean of the sources."""

    def fuse_all(self, sources: Sequence[Tensor]) -> Tensor:
        """Fuse sources ``(B, 1, H, W)`` to ``(B, 1, H, W)``, all in [0, 1]."""
        return torch.stack(list(sources)).mean(dim=0)
