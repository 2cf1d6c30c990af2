"""No weighting at all."""

import torch
from torch import Tensor

from fusion_lab.weighting.base import LossWeighting


class Equal(LossWeighting):
    """The plain sum of the losses (``ls`` in TITA's release)."""

    is_sum = True

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Sum the losses, one scalar a task."""
        return torch.stack(list(losses.values())).sum()
