"""MEF-SSIM: likeness of the fused image to the strongest structure that its sources agree on."""

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels
from fusion_lab.metrics.filters.gaussian_filter import box_sum, gaussian_filter
from fusion_lab.metrics.filters.local_moments import local_moments

Scales = Literal[1, 3]

SIDE = 11
"""Side of the windows in pixels."""

STABILISER = (0.03 * 255) ** 2

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001)

TINY = torch.finfo(torch.float64).eps


def _desired_weights(sources: Tensor) -> Tensor:
    """Return the weights with which the sources make up the desired structure of each window.

    That structure is ``sum_k c_k (x_k - mean x_k)``: linear in the sources, so that all its moments follow from
    theirs, and no window has to be built.

    Args:
        sources: ``(B, 2, H, W)``.

    Returns:
        c, ``(B, 2, H - 10, W - 10)``.
    """
    products = torch.cat([sources.square(), sources.prod(1, keepdim=True)], dim=1)
    total_a, total_b, square_a, square_b, product = box_sum(torch.cat([sources, products], dim=1), SIDE).unbind(1)
    pixels = SIDE**2
    energy_a = (square_a - total_a.square() / pixels).clamp(min=0)
    energy_b = (square_b - total_b.square() / pixels).clamp(min=0)
    shared = product - total_a * total_b / pixels

    norms = torch.stack([energy_a, energy_b], dim=1).sqrt()
    consistency = ((energy_a + energy_b + 2 * shared).clamp(min=0).sqrt() + TINY) / (norms.sum(1) + TINY)
    # Above 1 only by rounding, and at 1 by copies: the tangent is then beyond its limit of 10 either way.
    power = torch.tan(math.pi / 2 * consistency.clamp(max=1 - torch.finfo(norms.dtype).eps)).clamp(max=10)
    strength = norms + 0.001
    weights = (strength / SIDE) ** power[:, None] + TINY
    weights = weights / weights.sum(1, keepdim=True) / strength

    first, second = weights.unbind(1)
    energy = first.square() * energy_a + second.square() * energy_b + 2 * first * second * shared
    # Sources that cancel each other, as a negative does, leave no structure but rounding.
    rounding = 64 * torch.finfo(norms.dtype).eps * (weights * norms).sum(1).square()
    length = torch.where(energy > rounding, energy, 1).sqrt()
    return torch.where(energy > rounding, strength.amax(1) / length, 0)[:, None] * weights


def _similarity(planes: Tensor) -> Tensor:
    """Return MEF-SSIM of one scale: fused image and sources ``(B, 3, H, W)`` to ``(B,)``."""
    a, b = _desired_weights(planes[:, 1:]).unbind(1)
    moments = local_moments(planes, [(0, 1), (0, 2), (1, 2)], lambda images: gaussian_filter(images, SIDE, 1.5))
    variance_f, variance_a, variance_b = moments.variance.unbind(1)
    with_a, with_b, between = moments.covariance.unbind(1)
    variance = a.square() * variance_a + b.square() * variance_b + 2 * a * b * between
    covariance = a * with_a + b * with_b
    return ((2 * covariance + STABILISER) / (variance + variance_f + STABILISER)).mean((1, 2))


@each_channel
def mef_ssim(fused: Tensor, source_a: Tensor, source_b: Tensor, scales: Scales = 3) -> Tensor:
    """MEF-SSIM (Ma et al., 2015), 0..1, of one scale -1..1.

    In each window of 11 x 11 pixels the desired structure r is a mean of the sources' structures, weighted by
    their strength the more the better they agree, with the strength of the stronger source. The value is the mean of
    ``(2 cov(r, F) + C) / (var(r) + var(F) + C)`` under Gaussian windows, C = (0.03 * 255)^2; the brightness of the
    fused image does not count. Of three scales, each half as large, it is the product of the values to the powers of
    0.0448, 0.2856 and 0.3001, divided by their sum.

    Where an image contradicts its sources on a whole, as a negative does, the value of a scale is below 0. With three
    scales it then counts as 0, so that the product is 0: the paper's program gives a complex number.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 44 pixels a side, for one scale 11.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        scales: 3, or 1 as in the paper's first part. The programs score the grey image, not each channel.

    Returns:
        ``(B,)``; 1 where nothing has any structure, as in constant images.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another number of scales.
    """
    _check_scales(scales)
    levels = grey_levels(fused, source_a, source_b, minimum_side=SIDE * 2 ** (scales - 1))
    # Integers around 0 keep the sums exact.
    planes = torch.stack(levels, dim=1) - 128
    if scales == 1:
        return _similarity(planes)
    value = planes.new_ones(len(planes))
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale > 0:
            planes = F.avg_pool2d(planes, 2, ceil_mode=True)
        value = value * _similarity(planes).clamp(min=0) ** (weight / sum(SCALE_WEIGHTS))
    return value


def _check_scales(scales: int) -> None:
    if scales not in (1, 3):
        raise FusionLabError(f"Parameter `scales` should be 1 or 3. Found `scales = {scales}`.")


class MEFSSIM(FusionMetric):
    """MEF-SSIM, see `mef_ssim`.

    Args:
        scales: 1 or 3.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "MEF-SSIM"
    higher_is_better = True

    def __init__(self, scales: Scales = 3, **options: Any) -> None:
        _check_scales(scales)
        super().__init__(**options)
        self.scales: Scales = scales

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return MEF-SSIM of each image, ``(B,)``."""
        return mef_ssim(fused, source_a, source_b, self.scales)
