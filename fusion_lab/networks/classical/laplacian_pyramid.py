"""Fusion by Laplacian pyramids."""

from kornia.geometry.transform import pyrdown, pyrup
from torch import Tensor

from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.classical.selection import scales_that_fit, stronger
from fusion_lab.networks.layers.padding import pad_to_multiple


class LaplacianPyramid(FusionNetwork):
    """The stronger detail of each scale on the mean of the coarsest one.

    The pyramid is that of Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on
    Communications 1983. Maps of less than four pixels are not halved.

    Args:
        levels: Scales of detail.
    """

    def __init__(self, levels: int = 4) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"`levels` should be at least 1. Found `levels = {levels}`.")
        self.levels = levels

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        height, width = source_a.shape[-2:]
        levels = scales_that_fit(min(height, width), self.levels)
        a, b = (pad_to_multiple(source, 2**levels) for source in (source_a, source_b))
        details = []
        for _ in range(levels):
            coarse_a, coarse_b = pyrdown(a), pyrdown(b)
            details.append(stronger(a - pyrup(coarse_a), b - pyrup(coarse_b)))
            a, b = coarse_a, coarse_b
        fused = (a + b) / 2
        for detail in reversed(details):
            fused = pyrup(fused) + detail
        return fused[..., :height, :width]
