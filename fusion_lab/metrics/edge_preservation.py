"""Qabf: how well strength and orientation of the sources' edges survive in the fused image."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio
from fusion_lab.metrics.filters.gradients import sobel


def _edges(level: Tensor) -> tuple[Tensor, Tensor]:
    """Return strength and orientation (-π/2, π/2] of the edges, ``(B, H, W)`` each; zeros beyond the border."""
    x, y = sobel(F.pad(level, (1, 1, 1, 1)))
    return (x.square() + y.square()).sqrt(), torch.where(x == 0, math.pi / 2, torch.atan(y / x))


@each_channel
def edge_preservation(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qabf (Xydeas & Petrovic, 2000): ``sum(Q_A g_A + Q_B g_B) / sum(g_A + g_B)``, 0..1.

    With Sobel strength g and orientation α of a source X and of the fused image F:

    - kept strength ``G = min(g_X, g_F) / max(g_X, g_F)``, but ``G = g_F`` where both are equal,
    - kept orientation ``A = 1 - |α_X - α_F| / (π/2)``,
    - ``Q_X = 0.9994 / (1 + exp(-15 (G - 0.5))) * 0.9879 / (1 + exp(-22 (A - 0.8)))``.

    The rule for equal strengths is not in the paper but in every program that published tables come from.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; 0 where both sources are black.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = grey_levels(fused, source_a, source_b)
    strength_f, orientation_f = _edges(level_f)
    kept = torch.zeros_like(strength_f)
    present = torch.zeros_like(strength_f)
    for source in (level_a, level_b):
        strength, orientation = _edges(source)
        weaker, stronger = torch.minimum(strength, strength_f), torch.maximum(strength, strength_f)
        kept_strength = torch.where(strength == strength_f, strength_f, weaker / stronger)
        kept_orientation = 1 - (orientation - orientation_f).abs() / (math.pi / 2)
        quality_strength = 0.9994 * torch.sigmoid(15 * (kept_strength - 0.5))
        quality_orientation = 0.9879 * torch.sigmoid(22 * (kept_orientation - 0.8))
        kept += quality_strength * quality_orientation * strength
        present += strength
    return ratio(kept.sum((1, 2)), present.sum((1, 2)))


class EdgePreservation(FusionMetric):
    """Qabf, see `edge_preservation`."""

    label: ClassVar[str] = "Qabf"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Qabf of each image, ``(B,)``."""
        return edge_preservation(fused, source_a, source_b)
