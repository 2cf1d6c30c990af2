"""Fusion by Laplacian pyramids."""

from collections.abc import Sequence

import torch
from kornia.geometry.transform import pyrdown, pyrup
from torch import Tensor

from fusion_lab.networks.base import ManySourceNetwork
from fusion_lab.networks.classical.selection import scales_that_fit, strongest
from fusion_lab.networks.layers.padding import pad_to_multiple


class LaplacianPyramid(ManySourceNetwork):
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

    def fuse_all(self, sources: Sequence[Tensor]) -> Tensor:
        """Fuse sources ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        height, width = sources[0].shape[-2:]
        levels = scales_that_fit(min(height, width), self.levels)
        maps = [pad_to_multiple(source, 2**levels) for source in sources]
        details = []
        for _ in range(levels):
            coarse = [pyrdown(each) for each in maps]
            details.append(strongest([fine - pyrup(small) for fine, small in zip(maps, coarse, strict=True)]))
            maps = coarse
        fused = torch.stack(maps).mean(dim=0)
        for detail in reversed(details):
            fused = pyrup(fused) + detail
        return fused[..., :height, :width]
