"""Contrast and sharpness of the fused image alone."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.metrics.base import FusionMetric, check_choice, check_shapes, each_channel, grey_levels
from fusion_lab.metrics.filters.gradients import sobel

SpatialFrequencyNorm = Literal["mean", "n", "vifb"]
AverageGradientNorm = Literal["m1", "n"]


@each_channel
def standard_deviation(fused: Tensor) -> Tensor:
    """SD: ``sqrt(mean((F - mean F)^2))`` (Rao, 1997), 0..127.5 grey levels.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    (level,) = grey_levels(fused)
    return level.std((1, 2), correction=0)


def spatial_frequency(fused: Tensor, norm: SpatialFrequencyNorm = "mean") -> Tensor:
    """SF: root of the mean squared differences along rows plus columns (Eskicioglu & Fisher, 1995).

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 2 pixels a side.
        norm: ``"mean"`` divides each sum by its number of differences (most papers), ``"n"`` divides both by
            H W (MEFB). ``"vifb"`` is ``"n"`` for grey images; of colour images VIFB lays the channels side by side,
            so that the differences between the last column of a channel and the first of the next count.

    Returns:
        ``(B,)``, grey levels, not negative.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another norm.
    """
    check_choice("norm", norm, SpatialFrequencyNorm)
    check_shapes(fused=fused)
    if norm == "vifb":
        fused = torch.cat(fused.split(1, dim=1), dim=-1)
    return _spatial_frequency(fused, norm)


@each_channel
def _spatial_frequency(fused: Tensor, norm: SpatialFrequencyNorm) -> Tensor:
    (level,) = grey_levels(fused, minimum_side=2)
    along_rows = level.diff(dim=2).square()
    along_columns = level.diff(dim=1).square()
    if norm == "mean":
        return (along_rows.mean((1, 2)) + along_columns.mean((1, 2))).sqrt()
    return ((along_rows.sum((1, 2)) + along_columns.sum((1, 2))) / level[0].numel()).sqrt()


@each_channel
def average_gradient(fused: Tensor, norm: AverageGradientNorm = "m1") -> Tensor:
    """AG: ``sum sqrt((gx^2 + gy^2) / 2)`` per pixel (Cui et al., 2015).

    Differences are central, at the border one-sided.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 2 pixels a side.
        norm: ``"m1"`` divides by (H - 1)(W - 1) (VIFB, MEFB, GIFNet), ``"n"`` by H W (CDDFuse).

    Returns:
        ``(B,)``, grey levels per pixel, not negative.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another norm.
    """
    check_choice("norm", norm, AverageGradientNorm)
    (level,) = grey_levels(fused, minimum_side=2)
    height, width = level.shape[1:]
    vertical, horizontal = torch.gradient(level, dim=(1, 2))
    total = ((vertical.square() + horizontal.square()) / 2).sqrt().sum((1, 2))
    return total / ((height - 1) * (width - 1) if norm == "m1" else height * width)


@each_channel
def edge_intensity(fused: Tensor) -> Tensor:
    """EI: the mean strength ``sqrt(gx^2 + gy^2)`` of Sobel's edges (Rajalingam & Priya, 2018).

    The kernels ``[1 2 1]`` x ``[1 0 -1]`` are not normalised; beyond the border the edge pixels repeat.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.

    Returns:
        ``(B,)``, not negative; 0 for a constant image.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    (level,) = grey_levels(fused)
    x, y = sobel(F.pad(level[:, None], (1, 1, 1, 1), mode="replicate")[:, 0])
    return (x.square() + y.square()).sqrt().mean((1, 2))


class StandardDeviation(FusionMetric):
    """SD, see `standard_deviation`."""

    label: ClassVar[str] = "SD"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return SD of each image, ``(B,)``."""
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
        check_choice("norm", norm, SpatialFrequencyNorm)
        super().__init__(**options)
        self.norm: SpatialFrequencyNorm = norm

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return SF of each image, ``(B,)``."""
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
        check_choice("norm", norm, AverageGradientNorm)
        super().__init__(**options)
        self.norm: AverageGradientNorm = norm

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return AG of each image, ``(B,)``."""
        return average_gradient(fused, self.norm)


class EdgeIntensity(FusionMetric):
    """EI, see `edge_intensity`."""

    label: ClassVar[str] = "EI"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return EI of each image, ``(B,)``."""
        return edge_intensity(fused)
