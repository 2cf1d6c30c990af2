"""Qcv: how far the fused image is from its sources to the eye, where they have edges."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio
from fusion_lab.metrics.filters.contrast_sensitivity import filter_frequencies
from fusion_lab.metrics.filters.gradients import sobel
from fusion_lab.metrics.histogram import stretch

BLOCK = 16
"""Side in pixels of the regions; what is missing of the last ones is black."""


def _sensitivity(frequency: Tensor) -> Tensor:
    """Return the contrast sensitivity of Mannos & Sakrison (1974)."""
    return 2.6 * (0.0192 + 0.144 * frequency) * torch.exp(-((0.144 * frequency) ** 1.1))


def _block_sum(planes: Tensor) -> Tensor:
    height, width = planes.shape[2:]
    padded = F.pad(planes, (0, -width % BLOCK, 0, -height % BLOCK))
    return F.avg_pool2d(padded, BLOCK, divisor_override=1)


@each_channel
def chen_varshney(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qcv (Chen & Varshney, 2007): not negative, 0 for a fused image that equals both sources; lower is better.

    Images are stretched to 0..255. In blocks of 16 x 16 pixels, the mean squared difference of the fused image to each
    source, filtered by the eye's contrast sensitivity, weighted by the sum of the source's Sobel strengths to the
    power of 5.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``, grey levels squared; 0 where both sources are constant.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    fused_level, *sources = (stretch(level) for level in grey_levels(fused, source_a, source_b))
    strengths = []
    for source in sources:
        x, y = sobel(F.pad(source, (1, 1, 1, 1)))
        strengths.append((x.square() + y.square()).sqrt())
    salience = _block_sum(torch.stack(strengths, dim=1) ** 5)
    difference = torch.stack([source - fused_level for source in sources], dim=1)
    distance = _block_sum(filter_frequencies(difference, _sensitivity, unit=4).square()) / BLOCK**2
    return ratio((salience * distance).sum((1, 2, 3)), salience.sum((1, 2, 3)))


class Qcv(FusionMetric):
    """Qcv, see `chen_varshney`."""

    label: ClassVar[str] = "Qcv"
    higher_is_better = False

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Qcv of each image, ``(B,)``."""
        return chen_varshney(fused, source_a, source_b)
