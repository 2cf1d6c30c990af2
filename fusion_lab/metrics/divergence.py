"""How far the grey levels of the fused image are distributed otherwise than those of the sources."""

from typing import ClassVar

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio
from fusion_lab.metrics.histogram import distribution, joint_distribution, stretch

_TSALLIS_ORDER = 1.85
"""The order q of Tsallis' entropy in MEFB."""


@each_channel
def cross_entropy(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """CE: ``(D(A||F) + D(B||F)) / 2`` with ``D(X||F) = sum pX log2(pX / pF)`` (Bulanon et al., 2009); lower is better.

    Only levels that both images have count, so that single values may be below 0.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)`` in bits.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    of_fused, of_a, of_b = (distribution(level) for level in grey_levels(fused, source_a, source_b))
    total = torch.zeros_like(of_fused)
    for of_source in (of_a, of_b):
        both = (of_source > 0) & (of_fused > 0)
        total += torch.where(both, of_source * torch.log2(of_source / of_fused), 0)
    return total.sum(-1) / 2


@each_channel
def tsallis_entropy(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """TE: Tsallis' divergence of the joint histograms from independence, as MEFB computes it (Cvejic et al., 2006).

    The sum over both sources of ``(1 - sum h(i,j)^q / (pF(i) pX(j))^(q-1)) / (1 - q)``, q = 1.85, where ``h(i,j)`` is
    the share of the pixels with level i in the source X and j in the fused image F, each stretched to 0..255 first. In
    the paper each marginal belongs to the other index; with them exchanged, values reach 10^4.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; pairs of levels for which a marginal is 0 add nothing.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = (stretch(level) for level in grey_levels(fused, source_a, source_b))
    joint = joint_distribution(torch.cat([level_a, level_b]), torch.cat([level_f, level_f]))
    of_source, of_fused = joint.sum(2), joint.sum(1)
    marginals = of_fused[:, :, None] * of_source[:, None, :]
    terms = ratio(joint**_TSALLIS_ORDER, marginals ** (_TSALLIS_ORDER - 1))
    from_a, from_b = ((1 - terms.sum((1, 2))) / (1 - _TSALLIS_ORDER)).chunk(2)
    return from_a + from_b


class CrossEntropy(FusionMetric):
    """CE, see `cross_entropy`."""

    label: ClassVar[str] = "CE"
    higher_is_better = False

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return CE of each image, ``(B,)``."""
        return cross_entropy(fused, source_a, source_b)


class TsallisEntropy(FusionMetric):
    """TE, see `tsallis_entropy`."""

    label: ClassVar[str] = "TE"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return TE of each image, ``(B,)``."""
        return tsallis_entropy(fused, source_a, source_b)
