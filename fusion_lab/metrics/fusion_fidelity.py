"""VIFF: visual information of the source that is the harder to see in the fused image."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels
from fusion_lab.metrics.filters.gaussian_filter import gaussian_filter
from fusion_lab.metrics.filters.local_gain import local_gain
from fusion_lab.metrics.filters.local_moments import local_moments
from fusion_lab.metrics.visual_information import MINIMUM_SIDE, TINY

EYE_NOISE = 0.005 * 255**2
"""Variance of the visual noise, in grey levels squared."""

SCALE_WEIGHTS = (1.0, 0.0, 0.15, 1.0)
"""From the finest scale to the coarsest, before they are divided by their sum."""


def _fidelity(planes: Tensor, taps: int) -> Tensor:
    """Return the fidelity at one scale: fused image and sources ``(B, 3, H, W)`` to ``(B,)``."""
    moments = local_moments(planes, [(0, 1), (0, 2)], lambda images: gaussian_filter(images, taps, taps / 5))
    variance_s = moments.variance[:, 1:]
    gain, distortion = local_gain(moments.variance[:, :1], variance_s, moments.covariance, TINY)
    through_fused = torch.log10(1 + gain.square() * variance_s / (distortion + EYE_NOISE))
    from_source = torch.log10(1 + variance_s / EYE_NOISE)
    from_a = gain[:, 0] < gain[:, 1]
    through_fused = torch.where(from_a, through_fused[:, 0], through_fused[:, 1])
    from_source = torch.where(from_a, from_source[:, 0], from_source[:, 1])
    return (through_fused + 1e-7).sum((1, 2)) / (from_source + 1e-7).sum((1, 2))


@each_channel
def fusion_fidelity(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """VIFF (Han et al., 2013), 0 to about 1: the "VIF" of MEFB and MFIFB.

    As `fusion_lab.metrics.visual_information.visual_information_fidelity_sum`, but with visual noise of
    0.005 * 255^2; in each window of the source with the smaller gain alone (of B where both are equal, so that the
    value depends a little on which source is A); and the four scales' values, each
    ``sum(log10(1 + ...) + 1e-7) / sum(log10(1 + ...) + 1e-7)``, weigh 1, 0, 0.15 and 1.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 41 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; 1 where both sources are constant, since nothing could be lost.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    planes = torch.stack(grey_levels(fused, source_a, source_b, minimum_side=MINIMUM_SIDE), dim=1)
    # Only differences count: around 0 they lose fewer digits.
    planes = planes - planes.mean((2, 3), keepdim=True).round()
    value = planes.new_zeros(len(planes))
    for scale, (taps, weight) in enumerate(zip((17, 9, 5, 3), SCALE_WEIGHTS, strict=True)):
        if scale > 0:
            planes = gaussian_filter(planes, taps, taps / 5, stride=2)
        if weight > 0:
            value = value + weight * _fidelity(planes, taps)
    return value / math.fsum(SCALE_WEIGHTS)


class VIFF(FusionMetric):
    """VIFF, see `fusion_fidelity`."""

    label: ClassVar[str] = "VIFF"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return VIFF of each image, ``(B,)``."""
        return fusion_fidelity(fused, source_a, source_b)
