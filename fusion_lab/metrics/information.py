"""Entropy and mutual information: what the fused image tells, and what of it comes from the sources."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, grey_levels
from fusion_lab.metrics.histogram import distribution, joint_distribution


def entropy(fused: Tensor) -> Tensor:
    """EN: ``-sum p log2 p`` over the 256 grey levels (Roberts et al., 2008), 0..8 bits.

    Args:
        fused: ``(B, 1, H, W)``, integers 0..255.

    Returns:
        ``(B,)`` in float64.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    (level,) = grey_levels(fused)
    return torch.special.entr(distribution(level)).sum(-1) / math.log(2)


def fusion_mutual_information(fused: Tensor, source_a: Tensor, source_b: Tensor, base: float = 2) -> Tensor:
    """MI: ``I(A;F) + I(B;F)`` with ``I(X;F) = H(X) + H(F) - H(X,F)`` (Qu et al., 2002), not negative.

    Args:
        fused: ``(B, 1, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        base: Base of the logarithm: 2 in most papers (bits), e in the tables of CDDFuse and VIFB (nats).

    Returns:
        ``(B,)`` in float64.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = grey_levels(fused, source_a, source_b)
    joint = joint_distribution(torch.cat([level_a, level_b]), torch.cat([level_f, level_f]))
    source_entropy = torch.special.entr(joint.sum(2)).sum(-1)
    fused_entropy = torch.special.entr(joint.sum(1)).sum(-1)
    joint_entropy = torch.special.entr(joint).sum((1, 2))
    information = (source_entropy + fused_entropy - joint_entropy).clamp(min=0)
    from_a, from_b = information.chunk(2)
    return (from_a + from_b) / math.log(base)


class Entropy(FusionMetric):
    """EN, see `entropy`."""

    label: ClassVar[str] = "EN"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Give EN of each image, ``(B,)``."""
        return entropy(fused)


class FusionMutualInformation(FusionMetric):
    """MI, see `fusion_mutual_information`.

    Args:
        base: Base of the logarithm.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "MI"
    higher_is_better = True

    def __init__(self, base: float = 2, **options: Any) -> None:
        super().__init__(**options)
        self.base = base

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Give MI of each image, ``(B,)``."""
        return fusion_mutual_information(fused, source_a, source_b, self.base)
