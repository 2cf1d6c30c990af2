"""The edge preservation term."""

import torch
from torch import Tensor

from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.filters import sobel_gradients
from fusion_lab.types import Sample

_FAINT = 0.01
"""Gradient that counts as none, in units of the image: below it an edge has no orientation worth learning."""


def edge_preservation(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Return Qabf (Xydeas and Petrovic, 2000) of images in [0, 1], a scalar: the mean over the batch.

    The formula of the metric, ``sum(Q_A g_A + Q_B g_B) / sum(g_A + g_B)`` with the sigmoids of kept strength and
    orientation, made smooth where nothing is left of an edge. As a loss, not as a score.

    Args:
        fused: ``(B, 1, H, W)``.
        source_a: ``(B, 1, H, W)``.
        source_b: ``(B, 1, H, W)``.
    """
    strength_f, orientation_f = _edges(fused)
    kept, present = torch.zeros_like(fused), torch.zeros_like(fused)
    for source in (source_a, source_b):
        strength, orientation = _edges(source)
        kept_strength = (torch.minimum(strength, strength_f) + _FAINT) / (torch.maximum(strength, strength_f) + _FAINT)
        kept_orientation = 1 - (orientation - orientation_f).abs() / (torch.pi / 2)
        quality = 0.9994 * torch.sigmoid(15 * (kept_strength - 0.5))
        quality = quality * 0.9879 * torch.sigmoid(22 * (kept_orientation - 0.8))
        kept = kept + quality * strength
        present = present + strength
    total = present.sum((1, 2, 3))
    return (kept.sum((1, 2, 3)) / total.clamp(min=torch.finfo(total.dtype).tiny)).mean()


class EdgePreservation(LossTerm):
    """``1 - Qabf(A, B, F)``, see `edge_preservation`."""

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        return 1 - edge_preservation(fused, sample["source_a"], sample["source_b"])


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return strength and orientation [-π/2, π/2] of the edges, ``(B, 1, H, W)`` each."""
    x, y = sobel_gradients(image).split(1, dim=1)
    strength = (x.square() + y.square() + 1e-12).sqrt()
    return strength, torch.atan2(y * torch.where(x < 0, -1.0, 1.0), x.abs() + _FAINT)
