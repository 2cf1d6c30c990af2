"""Qw, Qy and Qc: SSIM with both sources, weighted window by window by which source matters there."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio
from fusion_lab.metrics.filters.gaussian_filter import gaussian_filter
from fusion_lab.metrics.filters.local_moments import LocalMoments, local_moments
from fusion_lab.metrics.structural_similarity import similarity

_STABILISERS = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)

_FAINT = 2e-16
"""Yang's stabilisers: nothing but a guard against 0/0."""

_FLAT = 1e-8
"""Variance in grey levels squared below which a window is flat. The least one that integers can have under these
windows is 1e-3; the rounding errors of float64 stay below 1e-9."""


def _similarities(moments: LocalMoments, stabilisers: tuple[float, float]) -> Tensor:
    """Return SSIM of the first image with each of the others, ``(B, 2, h, w)``."""
    mean, variance, covariance = moments
    return similarity((mean[:, :1], mean[:, 1:]), (variance[:, :1], variance[:, 1:]), covariance[:, :2], stabilisers)


def _exact_moments(planes: Tensor, pairs: list[tuple[int, int]], taps: int) -> LocalMoments:
    """Take moments in Gaussian windows; what is 0 but for rounding becomes 0."""
    mean, variance, covariance = local_moments(planes, pairs, lambda images: gaussian_filter(images, taps, 1.5))
    return LocalMoments(mean, variance.where(variance >= _FLAT, 0), covariance.where(covariance.abs() >= _FLAT, 0))


def _share(of_a: Tensor, of_b: Tensor) -> Tensor:
    """Return A's share of the sum, 1/2 where both are 0."""
    total = of_a + of_b
    return torch.where(total == 0, 0.5, of_a / total)


def _prewitt(level: Tensor) -> Tensor:
    """Return the strength of Prewitt's edges, not normalised, with zeros beyond the border: ``(B, H, W)``."""
    padded = F.pad(level, (1, 1, 1, 1))
    down = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    along = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    return ((down[..., 2:] - down[..., :-2]).square() + (along[:, 2:] - along[:, :-2]).square()).sqrt()


@each_channel
def piella_edge_similarity(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qw: Piella & Heijmans' edge-dependent index (2003) as MEFB has it, -1..1.

    Of the strength of Prewitt's edges of A, B and F: SSIM with A and with B in Gaussian windows of 11 x 11 pixels,
    weighted in each window by the shares of A and B in their variance, then over the windows by the larger variance.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 11 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; 0 where no window of either source has any variance.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    levels = grey_levels(fused, source_a, source_b, minimum_side=11)
    edges = torch.stack([_prewitt(level) for level in levels], dim=1)
    moments = local_moments(edges, [(0, 1), (0, 2)], lambda images: gaussian_filter(images, 11, 1.5))
    with_a, with_b = _similarities(moments, _STABILISERS).unbind(1)
    variance_a, variance_b = moments.variance[:, 1:].unbind(1)
    share = _share(variance_a, variance_b)
    salience = torch.maximum(variance_a, variance_b)
    quality = share * with_a + (1 - share) * with_b
    return ratio((salience * quality).sum((1, 2)), salience.sum((1, 2)))


@each_channel
def yang_similarity(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qy: Yang et al.'s index (2008), -1..1.

    In Gaussian windows of 7 x 7 pixels: where the sources are alike (SSIM of at least 0.75), SSIM of the fused image
    with A and B, weighted by their shares in the variance; elsewhere the larger of the two. SSIM is not stabilised.

    Computed in float64 whatever the images: a single grey level's step at the rim of a window counts. MEFB's
    values in exactly flat windows (black, saturated) are rounding noise; here they are what the formula is there
    exactly, with equal shares where both sources are flat. The two differ by up to 0.002 on real images.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 7 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    levels = grey_levels(fused, source_a, source_b, minimum_side=7)
    planes = torch.stack(levels, dim=1).double()
    moments = _exact_moments(planes, [(0, 1), (0, 2), (1, 2)], taps=7)
    mean, variance, covariance = moments
    with_a, with_b = _similarities(moments, (_FAINT, _FAINT)).unbind(1)
    alike = similarity((mean[:, 1], mean[:, 2]), (variance[:, 1], variance[:, 2]), covariance[:, 2], (_FAINT, _FAINT))
    share = _share(variance[:, 1], variance[:, 2])
    quality = torch.where(alike >= 0.75, share * with_a + (1 - share) * with_b, torch.maximum(with_a, with_b))
    return quality.mean((1, 2)).to(levels[0].dtype)


@each_channel
def cvejic_similarity(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qc: Cvejic et al.'s index (2005), -1..1.

    In Gaussian windows of 7 x 7 pixels with ``w = cov(A, F) / (cov(A, F) + cov(B, F))``: 0 where w < 0, 1 where
    w > 1, elsewhere ``w SSIM(A, F) + (1 - w) SSIM(B, F)``, and the mean of it over the windows where w is defined.
    The 0 and the 1 are MEFB's program's (the paper limits w), and make the value depend on which source is A. SSIM is
    not stabilised.

    Computed in float64 whatever the images, since w compares covariances near 0. Where only one source is exactly
    flat (black, saturated), w is 0 or 1 and on the jump between two of the rules: the value is the mean of both sides.
    In MEFB's program rounding noise falls on either side, so that its values differ by up to 0.02 on real images.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 7 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``; 0 where w is defined in no window.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    levels = grey_levels(fused, source_a, source_b, minimum_side=7)
    planes = torch.stack(levels, dim=1).double()
    moments = _exact_moments(planes, [(0, 1), (0, 2)], taps=7)
    with_a, with_b = _similarities(moments, (_FAINT, _FAINT)).unbind(1)
    covariance_a, covariance_b = moments.covariance.unbind(1)
    total = covariance_a + covariance_b
    defined = total.abs() >= _FLAT
    share = covariance_a / total
    inside = (share >= 0) & (share <= 1)
    quality = torch.where(inside, share * with_a + (1 - share) * with_b, (share > 1).to(share.dtype))
    at_jump = (share == 0) | (share == 1)
    quality = torch.where(at_jump, (quality + share) / 2, quality)
    return ratio(quality.where(defined, 0).sum((1, 2)), defined.sum((1, 2))).to(levels[0].dtype)


class Qw(FusionMetric):
    """Qw, see `piella_edge_similarity`."""

    label: ClassVar[str] = "Qw"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Qw of each image, ``(B,)``."""
        return piella_edge_similarity(fused, source_a, source_b)


class Qy(FusionMetric):
    """Qy, see `yang_similarity`."""

    label: ClassVar[str] = "Qy"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Qy of each image, ``(B,)``."""
        return yang_similarity(fused, source_a, source_b)


class Qc(FusionMetric):
    """Qc, see `cvejic_similarity`."""

    label: ClassVar[str] = "Qc"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return Qc of each image, ``(B,)``."""
        return cvejic_similarity(fused, source_a, source_b)
