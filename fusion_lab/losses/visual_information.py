"""The visual information term."""

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.filters import gaussian_filter
from fusion_lab.types import Sample

SHORTEST_SIDE = 41
"""The side in pixels that leaves one window at the coarsest of the four scales."""

_EYE_NOISE = 2 / 255**2
_FLAT = 1e-7
"""Variance below which a window is flat: float32 cannot tell it from rounding."""


def visual_information(fused: Tensor, source: Tensor) -> Tensor:
    """Return VIFp of a fused image for one source, both in [0, 1] (Sheikh and Bovik, 2006): a scalar, about 0..1.

    Over four scales with Gaussian windows of n = 17, 9, 5, 3 pixels and standard deviation n/5, with the local gain
    ``g = cov(X, F) / var(X)`` and the distortion ``d = var(F) - g cov(X, F)``:
    ``sum log(1 + g^2 var(X) / (d + s)) / sum log(1 + var(X) / s)``; s is the noise of the eye. The sums go over the
    whole batch: a patch of flat sky has nothing to tell, and its quotient would be noise.

    Args:
        fused: ``(B, 1, H, W)``, sides of 41 pixels or more.
        source: ``(B, 1, H, W)``.

    Raises:
        FusionLabError: A side is too short for four scales.
    """
    if min(fused.shape[-2:]) < SHORTEST_SIDE:
        raise FusionLabError(
            f"Visual information needs images of {SHORTEST_SIDE} pixels or more a side, but was given "
            f"{fused.shape[-1]}x{fused.shape[-2]}: choose a larger `patch`."
        )
    planes = torch.cat([fused, source], dim=1)
    # Variances ignore the mean; without it they lose fewer digits.
    planes = planes - planes.mean((2, 3), keepdim=True).detach()
    through_fused = from_source = planes.new_zeros(())
    for scale, size in enumerate((17, 9, 5, 3)):
        if scale > 0:
            planes = gaussian_filter(planes, size, size / 5, stride=2)
        moments = torch.cat([planes, planes.square(), planes.prod(1, keepdim=True)], dim=1)
        mean_f, mean_s, square_f, square_s, product = gaussian_filter(moments, size, size / 5).unbind(1)
        variance_f = (square_f - mean_f.square()).clamp(min=0)
        variance_s = (square_s - mean_s.square()).clamp(min=0)
        # An inverted source is no information: its gain is 0.
        covariance = (product - mean_f * mean_s).clamp(min=0)
        gain = covariance / (variance_s + _FLAT)
        distortion = (variance_f - gain * covariance).clamp(min=0)
        through_fused = through_fused + (gain.square() * variance_s / (distortion + _EYE_NOISE)).log1p().sum()
        from_source = from_source + (variance_s / _EYE_NOISE).log1p().sum()
    return through_fused / (from_source + 1)


class VisualInformation(LossTerm):
    """``1 / (1 + VIFp(A, F) + VIFp(B, F))``, see `visual_information`. Patches need 41 pixels a side.

    A quotient, not a difference: VIF has no upper bound where a source is faint, and weightings such as FAMO need
    losses that stay positive.
    """

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        a, b = sample["source_a"], sample["source_b"]
        return 1 / (1 + visual_information(fused, a) + visual_information(fused, b))
