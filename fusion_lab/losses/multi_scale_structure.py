"""The multi-scale structure term."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.errors import FusionLabError
from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.filters import gaussian_filter
from fusion_lab.types import Sample

SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponent of each scale, the finest first (Wang, Simoncelli and Bovik, "Multiscale structural similarity for
image quality assessment", Asilomar 2003)."""


def multi_scale_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Compute GIFNet's normalised multi-scale SSIM of two images in [0, 1], a scalar of at most 1.

    An 11x11 Gaussian window of sigma 1.5, smaller where the map is, inside the image only; five scales, each the 2x2
    means of the one before. As in the release, SSIM and its contrast-structure part are means over the batch, brought
    from [-1, 1] to [0, 1]; and the SSIM of the coarsest scale counts to the fourth power, once with each of the finer
    ones. An ``x`` below -0.5 is taken to be in [-1, 1].

    Args:
        x: ``(B, 1, H, W)``, sides of 16 pixels or more.
        y: ``(B, 1, H, W)``.

    Raises:
        FusionLabError: A side is too short for five scales.
    """
    if min(x.shape[-2:]) < 2 ** (len(SCALES) - 1):
        raise FusionLabError(
            f"Multi-scale SSIM needs images of 16 pixels or more a side, but was given {x.shape[-1]}x{x.shape[-2]}: "
            "choose a larger `patch`."
        )
    levels = torch.where(x.min() < -0.5, 2.0, 1.0)
    c1, c2 = (0.01 * levels) ** 2, (0.03 * levels) ** 2
    product = x.new_ones(())
    for number, exponent in enumerate(SCALES):
        planes = torch.cat([x, y, x * x, y * y, x * y], dim=1)
        mean_x, mean_y, *moments = gaussian_filter(planes, min(11, *x.shape[-2:]), 1.5).unbind(dim=1)
        variance_x, variance_y = moments[0] - mean_x**2, moments[1] - mean_y**2
        covariance = moments[2] - mean_x * mean_y
        structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
        if number < len(SCALES) - 1:
            product = product * ((structure.mean() + 1) / 2) ** exponent
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    coarsest = ((luminance * structure).mean() + 1) / 2
    return product * coarsest ** (SCALES[-1] * (len(SCALES) - 1))


class MultiScaleStructure(LossTerm):
    """``1 - MS-SSIM(F, target)``, normalised as in GIFNet's release; its paper writes SSIM (equation 7)."""

    needs_target: ClassVar[bool] = True

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        return 1 - multi_scale_ssim(fused, sample["target"])
