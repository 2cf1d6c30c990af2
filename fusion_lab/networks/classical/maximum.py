"""The brighter of the sources."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fusion_lab.networks.base import ManySourceNetwork


class Maximum(ManySourceNetwork):
    """The larger of the sources at each pixel."""

    def fuse_all(self, sources: Sequence[Tensor]) -> Tensor:
        """Fuse sources ``(B, 1, H, W)`` to ``(B, 1, H, W)``, all in [0, 1]."""
        return torch.stack(list(sources)).amax(dim=0)
