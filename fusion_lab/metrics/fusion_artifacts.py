"""Nabf: edges of the fused image that no source has."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio
from fusion_lab.metrics.filters.gradients import sobel

_THRESHOLD = 2.0
"""Edges weaker than this, in grey levels a pixel, hardly count."""

_WEAK_WEIGHT = 0.001


def _edges(level: Tensor) -> tuple[Tensor, Tensor]:
    """Return strength in grey levels a pixel and orientation [-π/2, π/2] of the edges; mirrored beyond the border."""
    x, y = (gradient / 8 for gradient in sobel(F.pad(level[:, None], (1, 1, 1, 1), mode="reflect")[:, 0]))
    # The orientation is 0 in a flat place and ±π/2 beside it where y is 0: the sign of x decides.
    return (x.square() + y.square()).sqrt(), torch.where(x == 0, 0, torch.atan(x / y))


@each_channel
def fusion_artifacts(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Nabf, modified (Shreyamsha Kumar, 2013): the share of artefacts, 0..1, lower is better.

    With Sobel strength g and orientation α of a source X and of the fused image F:

    - kept strength ``G = min(g_X, g_F) / max(g_X, g_F)``, 0 where either is 0,
    - kept orientation ``A = | |α_X - α_F| - π/2 | / (π/2)``,
    - ``Q_X^2 = 0.9999 / (1 + exp(-19 (G - 0.5))) * 0.9995 / (1 + exp(-22 (A - 0.5)))``,
    - weight ``w_X = g_X^1.5`` where ``g_X >= 2``, otherwise 0.001.

    ``Nabf = sum((1 - Q_A) w_A + (1 - Q_B) w_B) / sum(w_A + w_B)``, the first sum over the pixels in which the fused
    image has a stronger edge than both sources.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 2 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = grey_levels(fused, source_a, source_b, minimum_side=2)
    strength_f, orientation_f = _edges(level_f)
    added = torch.ones_like(strength_f, dtype=torch.bool)
    lost, present = torch.zeros_like(strength_f), torch.zeros_like(strength_f)
    for source in (level_a, level_b):
        strength, orientation = _edges(source)
        kept_strength = ratio(torch.minimum(strength, strength_f), torch.maximum(strength, strength_f))
        kept_orientation = ((orientation - orientation_f).abs() - math.pi / 2).abs() / (math.pi / 2)
        quality_strength = 0.9999 * torch.sigmoid(19 * (kept_strength - 0.5))
        quality_orientation = 0.9995 * torch.sigmoid(22 * (kept_orientation - 0.5))
        weight = torch.where(strength >= _THRESHOLD, strength * strength.sqrt(), _WEAK_WEIGHT)
        lost += (1 - (quality_strength * quality_orientation).sqrt()) * weight
        present += weight
        added &= strength_f > strength
    return (lost * added).sum((1, 2)) / present.sum((1, 2))


class FusionArtifacts(FusionMetric):
    """Nabf, see `fusion_artifacts`."""

    label: ClassVar[str] = "Nabf"
    higher_is_better = False

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Nabf of each image, ``(B,)``."""
        return fusion_artifacts(fused, source_a, source_b)
