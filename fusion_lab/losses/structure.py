"""The structure term."""

from typing import Literal

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.filters import gaussian_blur, sobel_magnitude
from fusion_lab.types import Sample


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of two images in [0, 1] (Wang et al., 2004), a scalar.

    An 11x11 Gaussian window of sigma 1.5 with zeros beyond the border, ``C1 = 0.01^2``, ``C2 = 0.03^2``. As a loss,
    not as a score: metrics treat the border otherwise.

    Args:
        x: ``(B, 1, H, W)``.
        y: ``(B, 1, H, W)``.
    """
    moments = gaussian_blur(torch.cat([x, y, x * x, y * y, x * y], dim=1), size=11, sigma=1.5)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = moments.unbind(dim=1)
    variance_x, variance_y = mean_xx - mean_x**2, mean_yy - mean_y**2
    covariance = mean_xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean()


class Structure(LossTerm):
    """``1 - (w_A SSIM(A, F) + w_B SSIM(B, F))`` (SwinFusion; TITA).

    Args:
        shares: ``gradient`` weighs each source by its mean Sobel magnitude over the whole batch (IVF, MFF); ``equal``
            by one half (MEF).
        weight: Factor of the term in the objective.
    """

    def __init__(self, shares: Literal["gradient", "equal"], weight: float = 1.0) -> None:
        super().__init__(weight)
        if shares not in ("gradient", "equal"):
            raise FusionLabError(f"`shares` should be gradient or equal. Found `shares = {shares}`.")
        self.shares = shares

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        a, b = sample["source_a"], sample["source_b"]
        if self.shares == "equal":
            return 1 - (ssim(a, fused) + ssim(b, fused)) / 2
        gradient_a, gradient_b = sobel_magnitude(a).mean(), sobel_magnitude(b).mean()
        # Two flat sources have no gradient at all; then neither is preferred.
        total = gradient_a + gradient_b
        share_a = (gradient_a / total).nan_to_num(0.5)
        return 1 - (share_a * ssim(a, fused) + (1 - share_a) * ssim(b, fused))
