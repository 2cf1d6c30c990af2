"""Contrast and sharpness of the fused image alone."""

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics.base import FusionMetric, grey_levels

SpatialFrequencyNorm = Literal["mean", "n"]
AverageGradientNorm = Literal["m1", "n"]


def standard_deviation(fused: Tensor) -> Tensor:
    """SD: ``sqrt(mean((F - mean F)^2))`` (Rao, 1997), 0..127.5 grey levels.

    Args:
        fused: ``(B, 1, H, W)``, integers 0..255.

    Returns:
        ``(B,)`` in float64.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    (level,) = grey_levels(fused)
    return level.std((1, 2), correction=0)


def spatial_frequency(fused: Tensor, norm: SpatialFrequencyNorm = "mean") -> Tensor:
    """SF: root of the mean squared differences along rows plus columns (Eskicioglu & Fisher, 1995).

    Args:
        fused: ``(B, 1, H, W)``, integers 0..255, at least 2 pixels a side.
        norm: ``"mean"`` divides each sum by its number of differences (most papers), ``"n"`` divides both by
            H W (VIFB, MEFB).

    Returns:
        ``(B,)`` in float64, grey levels, not negative.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another norm.
    """
    _check_norm(norm, SpatialFrequencyNorm)
    (level,) = grey_levels(fused, minimum_side=2)
    along_rows = level.diff(dim=2).square()
    along_columns = level.diff(dim=1).square()
    if norm == "mean":
        return (along_rows.mean((1, 2)) + along_columns.mean((1, 2))).sqrt()
    return ((along_rows.sum((1, 2)) + along_columns.sum((1, 2))) / level[0].numel()).sqrt()


def average_gradient(fused: Tensor, norm: AverageGradientNorm = "m1") -> Tensor:
    """AG: ``sum sqrt((gx^2 + gy^2) / 2)`` per pixel (Cui et al., 2015).

    Differences are central, at the border one-sided.

    Args:
        fused: ``(B, 1, H, W)``, integers 0..255, at least 2 pixels a side.
        norm: ``"m1"`` divides by (H - 1)(W - 1) (VIFB, MEFB, GIFNet), ``"n"`` by H W (CDDFuse).

    Returns:
        ``(B,)`` in float64, grey levels per pixel, not negative.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another norm.
    """
    _check_norm(norm, AverageGradientNorm)
    (level,) = grey_levels(fused, minimum_side=2)
    height, width = level.shape[1:]
    vertical, horizontal = torch.gradient(level, dim=(1, 2))
    total = ((vertical.square() + horizontal.square()) / 2).sqrt().sum((1, 2))
    return total / ((height - 1) * (width - 1) if norm == "m1" else height * width)


def _check_norm(norm: str, choices: Any) -> None:
    if norm not in get_args(choices):
        allowed = " or ".join(f'"{choice}"' for choice in get_args(choices))
        raise FusionLabError(f'Parameter `norm` should be {allowed}. Found `norm = "{norm}"`.')


class StandardDeviation(FusionMetric):
    """SD, see `standard_deviation`."""

    label: ClassVar[str] = "SD"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Give SD of each image, ``(B,)``."""
        return standard_deviation(fused)


class SpatialFrequency(FusionMetric):
    """SF, see `spatial_frequency`.

    Args:
        norm: The divisor.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "SF"
    higher_is_better = True

    def __init__(self, norm: SpatialFrequencyNorm = "mean", **options: Any) -> None:
        _check_norm(norm, SpatialFrequencyNorm)
        super().__init__(**options)
        self.norm: SpatialFrequencyNorm = norm

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Give SF of each image, ``(B,)``."""
        return spatial_frequency(fused, self.norm)


class AverageGradient(FusionMetric):
    """AG, see `average_gradient`.

    Args:
        norm: The divisor.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "AG"
    higher_is_better = True

    def __init__(self, norm: AverageGradientNorm = "m1", **options: Any) -> None:
        _check_norm(norm, AverageGradientNorm)
        super().__init__(**options)
        self.norm: AverageGradientNorm = norm

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Give AG of each image, ``(B,)``."""
        return average_gradient(fused, self.norm)
