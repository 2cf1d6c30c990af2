"""The mean of the sources."""

from torch import Tensor

from fusion_lab.networks.base import FusionNetwork


class Average(FusionNetwork):
    """The plain mean of the two sources."""

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` to ``(B, 1, H, W)``, all in [0, 1]."""
        return (source_a + source_b) / 2
