"""VIF: how much of what the eye can see of the sources it can still see in the fused image."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, check_choice, each_channel, grey_levels, ratio
from fusion_lab.metrics.filters.gaussian_filter import gaussian_filter
from fusion_lab.metrics.filters.local_gain import local_gain
from fusion_lab.metrics.filters.local_moments import local_moments

MINIMUM_SIDE = 41
"""The side in pixels that leaves one window at the coarsest of the four scales."""

EYE_NOISE = 2.0
"""Variance of the visual noise, in grey levels squared: it holds for 0..255 only."""

TINY = 1e-10

VIFReduction = Literal["sum", "mean"]


def _visible_information(mean_free: Tensor, taps: int) -> tuple[Tensor, Tensor]:
    """Return the information that reaches the eye at one scale: through the fused image, from the source.

    Args:
        mean_free: Fused image and sources, ``(B, 3, H, W)``.
        taps: Side of the Gaussian window.

    Returns:
        Two times ``(B, 2)``, one column for each source, in log10 units.
    """
    moments = local_moments(mean_free, [(0, 1), (0, 2)], lambda images: gaussian_filter(images, taps, taps / 5))
    variance_s = moments.variance[:, 1:]
    gain, distortion = local_gain(moments.variance[:, :1], variance_s, moments.covariance, TINY)
    variance_s = torch.where(variance_s < TINY, 0, variance_s)

    through_fused = torch.log10(1 + gain.square() * variance_s / (distortion + EYE_NOISE))
    from_source = torch.log10(1 + variance_s / EYE_NOISE)
    return through_fused.sum((2, 3)), from_source.sum((2, 3))


@each_channel
def visual_information_fidelity_sum(
    fused: Tensor, source_a: Tensor, source_b: Tensor, reduction: VIFReduction = "sum", white: float = 255
) -> Tensor:
    """VIF: ``VIFp(A, F) + VIFp(B, F)``, pixel domain (Sheikh & Bovik, 2006), about 0..2.

    Over four scales with Gaussian windows of n = 17, 9, 5, 3 pixels and standard deviation n/5, with the
    local gain ``g = cov(X, F) / var(X)`` and distortion ``d = var(F) - g cov(X, F)``:
    ``VIFp(X, F) = sum log10(1 + g^2 var(X) / (d + 2)) / sum log10(1 + var(X) / 2)``.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 41 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        reduction: The ``"sum"`` of both sources, or their ``"mean"``.
        white: What level 255 counts as. The noise of the eye, 2, holds for 255; some programs put in images in [0, 1]
            all the same (1), where far less of the sources is taken to be visible.

    Returns:
        ``(B,)``; a constant source adds 0.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    check_choice("reduction", reduction, VIFReduction)
    planes = torch.stack(grey_levels(fused, source_a, source_b, minimum_side=MINIMUM_SIDE), dim=1) * (white / 255)
    # Variances ignore the mean; without it they lose fewer digits, and constant images become exactly 0.
    planes = planes - planes.mean((2, 3), keepdim=True)
    through_fused = from_source = planes.new_zeros(())
    for scale, taps in enumerate((17, 9, 5, 3)):
        if scale > 0:
            planes = gaussian_filter(planes, taps, taps / 5, stride=2)
        through, source = _visible_information(planes, taps)
        through_fused, from_source = through_fused + through, from_source + source
    fidelity = ratio(through_fused, from_source)
    return fidelity.sum(1) if reduction == "sum" else fidelity.mean(1)


class VisualInformationFidelitySum(FusionMetric):
    """VIF, see `visual_information_fidelity_sum`.

    Args:
        reduction: How both sources become one number.
        white: What level 255 counts as.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "VIF"
    higher_is_better = True

    def __init__(self, reduction: VIFReduction = "sum", white: float = 255, **options: Any) -> None:
        check_choice("reduction", reduction, VIFReduction)
        super().__init__(**options)
        self.reduction: VIFReduction = reduction
        self.white = white

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return VIF of each image, ``(B,)``."""
        return visual_information_fidelity_sum(fused, source_a, source_b, self.reduction, self.white)
