"""Windows of the metrics: Gaussian, and flat."""

import math

from torch import Tensor

from fusion_lab.metrics.filters.separable_filter import Border, separable_filter


def gaussian_kernel(taps: int, sigma: float) -> tuple[float, ...]:
    """Return the taps of a Gaussian of standard deviation ``sigma`` in pixels; they sum to 1."""
    weights = [math.exp(-((tap - (taps - 1) / 2) ** 2) / (2 * sigma**2)) for tap in range(taps)]
    return tuple(weight / math.fsum(weights) for weight in weights)


def gaussian_filter(planes: Tensor, taps: int, sigma: float, border: Border = "valid", stride: int = 1) -> Tensor:
    """Take local means with Gaussian weights.

    Args:
        planes: ``(B, K, H, W)`` in floating point.
        taps: Side of the window in pixels.
        sigma: Standard deviation of the Gaussian in pixels.
        border: What lies beyond the border.
        stride: Step between the kept samples, the first one included.

    Returns:
        The size that `separable_filter` tells.
    """
    return separable_filter(planes, gaussian_kernel(taps, sigma), border, stride)


def box_sum(planes: Tensor, side: int) -> Tensor:
    """Sum over windows of ``side`` x ``side`` pixels, none beyond the border; see `separable_filter`.

    Of integers the sums are exact as long as they are below 2^24 in float32 and 2^53 in float64.
    """
    return separable_filter(planes, (1.0,) * side)
