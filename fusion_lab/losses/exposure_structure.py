"""The structure term of multi-exposure fusion."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.errors import FusionLabError
from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.filters import gaussian_filter
from fusion_lab.types import Sample

SIDE = 11
"""Side of the windows in pixels."""

_STABILISER = 0.03**2
_FAINT = 1e-4


def exposure_similarity(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Return MEF-SSIM of one scale (Ma et al., 2015) of images in [0, 1], a scalar: the mean over the batch.

    In each window of 11 x 11 pixels the desired structure is a mean of the sources' structures, weighted by their
    strength the more the better they agree, with the strength of the stronger one; the value is the mean of
    ``(2 cov(r, F) + C) / (var(r) + var(F) + C)``. The brightness of the fused image does not count.

    Args:
        fused: ``(B, 1, H, W)``, sides of 11 pixels or more.
        source_a: ``(B, 1, H, W)``.
        source_b: ``(B, 1, H, W)``.

    Raises:
        FusionLabError: A side is shorter than a window.
    """
    if min(fused.shape[-2:]) < SIDE:
        height, width = fused.shape[-2:]
        raise FusionLabError(f"MEF-SSIM needs {SIDE} pixels or more a side, but was given {width}x{height}.")
    with torch.no_grad():
        share_a, share_b = _desired_weights(source_a, source_b)
    level = (source_a.mean((2, 3), keepdim=True) + source_b.mean((2, 3), keepdim=True)) / 2
    f, a, b = fused - level, source_a - level, source_b - level
    moments = torch.cat([f, a, b, f * f, a * a, b * b, f * a, f * b, a * b], dim=1)
    means = gaussian_filter(moments, SIDE, 1.5)
    mean_f, mean_a, mean_b, ff, aa, bb, fa, fb, ab = means.split(1, dim=1)
    variance_f = (ff - mean_f**2).clamp(min=0)
    desired = (
        share_a**2 * (aa - mean_a**2) + share_b**2 * (bb - mean_b**2) + 2 * share_a * share_b * (ab - mean_a * mean_b)
    ).clamp(min=0)
    covariance = share_a * (fa - mean_f * mean_a) + share_b * (fb - mean_f * mean_b)
    similarity = (2 * covariance + _STABILISER) / (desired + variance_f + _STABILISER)
    # Where one source is nearly the other inverted, shares are large, and rounding is no longer small.
    return similarity.clamp(-1, 1).mean()


class ExposureStructure(LossTerm):
    """``1 - MEF-SSIM(A, B, F)``, see `exposure_similarity`."""

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        return 1 - exposure_similarity(fused, sample["source_a"], sample["source_b"])


def _desired_weights(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights ``(B, 1, H - 10, W - 10)`` with which the sources make up the desired structure."""
    pixels = SIDE**2
    level_a, level_b = a.mean((2, 3), keepdim=True), b.mean((2, 3), keepdim=True)
    a, b = a - level_a, b - level_b
    sums = F.avg_pool2d(torch.cat([a, b, a * a, b * b, a * b], dim=1), SIDE, stride=1) * pixels
    total_a, total_b, square_a, square_b, product = sums.split(1, dim=1)
    energy_a = (square_a - total_a**2 / pixels).clamp(min=0)
    energy_b = (square_b - total_b**2 / pixels).clamp(min=0)
    shared = product - total_a * total_b / pixels
    norm_a, norm_b = energy_a.sqrt(), energy_b.sqrt()
    consistency = ((energy_a + energy_b + 2 * shared).clamp(min=0).sqrt() + _FAINT) / (norm_a + norm_b + _FAINT)
    power = torch.tan(math.pi / 2 * consistency.clamp(0, 0.9999)).clamp(max=10)
    strength_a, strength_b = norm_a + _FAINT, norm_b + _FAINT
    # The stronger source counts 1: powers of up to 10 leave the range of float32 otherwise.
    stronger = torch.maximum(strength_a, strength_b)
    weight_a, weight_b = (strength_a / stronger) ** power, (strength_b / stronger) ** power
    total = weight_a + weight_b
    share_a, share_b = weight_a / total / strength_a, weight_b / total / strength_b
    energy = share_a**2 * energy_a + share_b**2 * energy_b + 2 * share_a * share_b * shared
    length = energy.clamp(min=1e-6).sqrt()
    return stronger * share_a / length, stronger * share_b / length
