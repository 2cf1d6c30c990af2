"""The intensity term."""

from typing import Literal

import torch
from torch import Tensor

from fusion_lab.losses.base import LossTerm
from fusion_lab.types import Sample


class Intensity(LossTerm):
    """Mean absolute difference from the maximum or the mean of the sources (SwinFusion; TITA).

    TITA's code takes the maximum for IVF and the mean for MFF and MEF; its paper is quoted with the maximum for MFF.

    Args:
        target: What the sources are merged to.
        weight: Factor of the term in the objective.
    """

    def __init__(self, target: Literal["maximum", "mean"], weight: float = 1.0) -> None:
        super().__init__(weight)
        self.target = target

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Give the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        a, b = sample["source_a"], sample["source_b"]
        target = torch.maximum(a, b) if self.target == "maximum" else (a + b) / 2
        return (fused - target).abs().mean()
