"""The squared error."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from fusion_lab.losses.base import LossTerm
from fusion_lab.types import Sample


class SquaredError(LossTerm):
    """Mean squared difference from the ideal image (GIFNet, equations 6 and 11)."""

    needs_target: ClassVar[bool] = True

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        return F.mse_loss(fused, sample["target"])
