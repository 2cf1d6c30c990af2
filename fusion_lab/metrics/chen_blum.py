"""Qcb: how much of the contrast that the eye sees in the sources it sees in the fused image."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio
from fusion_lab.metrics.filters.contrast_sensitivity import filter_frequencies
from fusion_lab.metrics.filters.separable_filter import separable_filter
from fusion_lab.metrics.histogram import stretch


def _sensitivity(frequency: Tensor) -> Tensor:
    """Return the contrast sensitivity, a difference of Gaussians."""
    return torch.exp(-(frequency / 15.3870).square()) - 0.7622 * torch.exp(-(frequency / 1.3456).square())


def _gaussian(sigma: float) -> tuple[float, ...]:
    """Return 31 taps of the density: they sum to a little less than 1."""
    scale = math.sqrt(2 * math.pi) * sigma
    return tuple(math.exp(-(tap**2) / (2 * sigma**2)) / scale for tap in range(-15, 16))


def _masked_contrast(planes: Tensor) -> Tensor:
    """Return the contrast between a small and a large neighbourhood, damped where it is weak."""
    near = separable_filter(planes, _gaussian(2), border="zero")
    far = separable_filter(planes, _gaussian(4), border="zero")
    contrast = torch.where(far == 0, 0, near / far - 1).abs()
    return contrast**3 / (contrast.square() + 1e-4)


@each_channel
def chen_blum(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qcb (Chen & Blum, 2009): the kept contrast of each source, weighted by its square, 0..1.

    Images are stretched to 0..255 and filtered by the eye's contrast sensitivity. With the local contrast C of each,
    the value is the mean of ``(Q_A C_A^2 + Q_B C_B^2) / (C_A^2 + C_B^2)``, ``Q_X = min(C_X, C_F) / max(C_X, C_F)``.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; pixels where neither source has contrast count as 0, a constant image has none.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    planes = torch.stack([stretch(level) for level in grey_levels(fused, source_a, source_b)], dim=1)
    contrast = _masked_contrast(filter_frequencies(planes, _sensitivity, unit=15))
    contrast_f, contrast_s = contrast[:, :1], contrast[:, 1:]
    kept = ratio(torch.minimum(contrast_s, contrast_f), torch.maximum(contrast_s, contrast_f))
    weight = contrast_s.square()
    return ratio((weight * kept).sum(1), weight.sum(1)).mean((1, 2))


class Qcb(FusionMetric):
    """Qcb, see `chen_blum`."""

    label: ClassVar[str] = "Qcb"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Qcb of each image, ``(B,)``."""
        return chen_blum(fused, source_a, source_b)
