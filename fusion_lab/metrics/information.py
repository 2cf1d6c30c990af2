"""Entropy and mutual information: what the fused image tells, and what of it comes from the sources."""

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, check_choice, each_channel, grey_levels, ratio
from fusion_lab.metrics.histogram import LEVELS, distribution, entropies, joint_distribution, stretch

MutualInformationVariant = Literal["plain", "tang", "vifb"]


@each_channel
def entropy(fused: Tensor) -> Tensor:
    """EN: ``-sum p log2 p`` over the 256 grey levels (Roberts et al., 2008), 0..8 bits.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    (level,) = grey_levels(fused)
    return torch.special.entr(distribution(level)).sum(-1) / math.log(2)


@each_channel
def fusion_mutual_information(
    fused: Tensor,
    source_a: Tensor,
    source_b: Tensor,
    base: float = 2,
    variant: MutualInformationVariant = "plain",
) -> Tensor:
    """MI: ``I(A;F) + I(B;F)`` with ``I(X;F) = H(X) + H(F) - H(X,F)`` (Qu et al., 2002), not negative.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        base: Base of the logarithm: 2 in most papers (bits), e in the tables of CDDFuse and VIFB (nats).
        variant: ``"plain"`` takes the images as they are; ``"tang"`` puts the levels 254 and 255 in one bin of the
            joint histogram, but not of the single ones (tables made with Tang's MATLAB programs); ``"vifb"``
            stretches each image to 0..255 first.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another variant.
    """
    check_choice("variant", variant, MutualInformationVariant)
    levels = grey_levels(fused, source_a, source_b)
    if variant == "vifb":
        levels = [stretch(level) for level in levels]
    level_f, level_a, level_b = levels
    joint = joint_distribution(torch.cat([level_a, level_b]), torch.cat([level_f, level_f]))
    found = entropies(joint)
    if variant == "tang":
        found = found._replace(joint=torch.special.entr(_merge_brightest(joint)).sum((1, 2)))
    from_a, from_b = found.mutual.chunk(2)
    return (from_a + from_b) / math.log(base)


def _merge_brightest(joint: Tensor) -> Tensor:
    """Put the levels 254 and 255 of both images in one bin: ``(B, 256, 256)`` to ``(B, 255, 255)``."""
    for axis in (1, 2):
        others, brightest = joint.split([LEVELS - 2, 2], dim=axis)
        joint = torch.cat([others, brightest.sum(axis, keepdim=True)], dim=axis)
    return joint


@each_channel
def normalized_mutual_information(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """NMI or Q_MI: ``2 (I(A;F) / (H(A) + H(F)) + I(B;F) / (H(B) + H(F)))`` (Hossny et al., 2008), 0..2.

    Each image is stretched to 0..255 first, as in VIFB's family of programs.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; a constant source adds 0.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = (stretch(level) for level in grey_levels(fused, source_a, source_b))
    found = entropies(joint_distribution(torch.cat([level_a, level_b]), torch.cat([level_f, level_f])))
    from_a, from_b = ratio(found.mutual, found.first + found.second).chunk(2)
    return 2 * (from_a + from_b)


@each_channel
def qncie(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qncie: how far the three images depend on each other in any way (Wang, Shen & Jin, 2005), 0..1.

    Each image is stretched to 0..255 first. With ``n(X,Y) = I(X;Y) / 8`` bits and the eigenvalues l of the matrix of n
    between A, B and F (1 on the diagonal): ``1 + sum (l/3) log2(l/3) / 8``.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; ``1 - log2(3) / 8 = 0.80`` for images that tell nothing of each other.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = (stretch(level) for level in grey_levels(fused, source_a, source_b))
    joint = joint_distribution(torch.cat([level_a, level_a, level_b]), torch.cat([level_b, level_f, level_f]))
    ab, af, bf = (entropies(joint).mutual / math.log(LEVELS)).chunk(3)
    one = torch.ones_like(ab)
    matrix = torch.stack([one, ab, af, ab, one, bf, af, bf, one], dim=-1).view(-1, 3, 3)
    shares = torch.linalg.eigvalsh(matrix).clamp(min=0) / 3
    return 1 - torch.special.entr(shares).sum(-1) / math.log(LEVELS)


class Entropy(FusionMetric):
    """EN, see `entropy`."""

    label: ClassVar[str] = "EN"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return EN of each image, ``(B,)``."""
        return entropy(fused)


class FusionMutualInformation(FusionMetric):
    """MI, see `fusion_mutual_information`.

    Args:
        base: Base of the logarithm.
        variant: Whose histograms.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "MI"
    higher_is_better = True

    def __init__(self, base: float = 2, variant: MutualInformationVariant = "plain", **options: Any) -> None:
        check_choice("variant", variant, MutualInformationVariant)
        super().__init__(**options)
        self.base = base
        self.variant: MutualInformationVariant = variant

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return MI of each image, ``(B,)``."""
        return fusion_mutual_information(fused, source_a, source_b, self.base, self.variant)


class NormalizedMutualInformation(FusionMetric):
    """NMI, see `normalized_mutual_information`."""

    label: ClassVar[str] = "NMI"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return NMI of each image, ``(B,)``."""
        return normalized_mutual_information(fused, source_a, source_b)


class Qncie(FusionMetric):
    """Qncie, see `qncie`."""

    label: ClassVar[str] = "Qncie"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Qncie of each image, ``(B,)``."""
        return qncie(fused, source_a, source_b)
