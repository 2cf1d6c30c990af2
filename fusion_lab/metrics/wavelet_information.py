"""WaveletVIF: visual information in the bands of a steerable pyramid."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio
from fusion_lab.metrics.filters.local_gain import local_gain
from fusion_lab.metrics.filters.local_moments import local_moments
from fusion_lab.metrics.filters.steerable_pyramid import oriented_bands

MINIMUM_SIDE = 136
"""The side in pixels from which the programs build four levels."""

EYE_NOISE = 0.4
"""Variance of the visual noise, meant for images 0..255."""

TINY = 1e-15

BLOCK = 3
"""Side in coefficients of the vectors that the sources are modelled by."""


def _covariance(bands: Tensor) -> Tensor:
    """Return the covariance of the 3 x 3 coefficients of all overlapping blocks: ``(N, h, w)`` to ``(N, 9, 9)``.

    Only its lower triangle, the one that ``torch.linalg.eigh`` reads, is to be used.
    """
    height, width = (side - BLOCK + 1 for side in bands.shape[1:])
    shifted = torch.stack([bands[..., shift : shift + width] for shift in range(BLOCK)], dim=1).flatten(2)
    # A row further down in the flattened images: views, so that the nine shifted images are never built.
    rows = [shifted[..., shift * width : (shift + height) * width] for shift in range(BLOCK)]
    products = bands.new_zeros(len(bands), BLOCK**2, BLOCK**2)
    for i, upper in enumerate(rows):
        for j, lower in enumerate(rows[: i + 1]):
            products[:, BLOCK * i : BLOCK * (i + 1), BLOCK * j : BLOCK * (j + 1)] = upper @ lower.mT
    mean = torch.cat([row.mean(2) for row in rows], dim=1)
    return products / (height * width) - mean[:, :, None] * mean[:, None]


def _energies(bands: Tensor, crop: int) -> tuple[Tensor, Tensor]:
    """Model each block of a source as a Gaussian vector times a local energy.

    Args:
        bands: ``(N, h, w)``, whole blocks.
        crop: Number of blocks to leave out at each border.

    Returns:
        The energies ``(N, rows, columns)`` of the blocks side by side, and the variances ``(N, 9)`` along the
        vector's principal axes.
    """
    variances, axes = torch.linalg.eigh(_covariance(bands))
    # A band that is nearly empty has no variance along some axes: what lies there is rounding.
    present = variances > 9 * torch.finfo(bands.dtype).eps * variances[:, -1:].clamp(min=0)
    variances = torch.where(present, variances, 0)
    whitening = axes * torch.where(present, variances, 1).rsqrt()[:, None] * present[:, None]
    blocks = bands.unflatten(2, (-1, BLOCK)).unflatten(1, (-1, BLOCK)).permute(0, 2, 4, 1, 3)
    blocks = blocks[..., crop : blocks.shape[3] - crop, crop : blocks.shape[4] - crop]
    vectors = blocks.flatten(1, 2).flatten(2)
    energies = (whitening.mT @ vectors).square().sum(1) / BLOCK**2
    return energies.unflatten(1, blocks.shape[3:]), variances


def _information(energies: Tensor, variances: Tensor) -> Tensor:
    """Sum ``log(1 + energy * variance)`` over axes and blocks: ``(N, S, h, w)`` and ``(N, S, 9)`` to ``(N, S)``."""
    total = energies.new_zeros(energies.shape[:2])
    for variance in variances.unbind(2):
        total = total + torch.log1p(energies * variance[..., None, None]).sum((2, 3))
    return total


def _window_mean(planes: Tensor, side: int) -> Tensor:
    """Take the mean over windows of ``side`` x ``side`` coefficients, one for each block."""
    return planes.unfold(2, side, BLOCK).sum(-1).unfold(3, side, BLOCK).sum(-1) / side**2


def _band_information(bands: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return the information of one band that reaches the eye: through the fused image, and from the sources.

    Args:
        bands: Of fused image and sources, ``(B, 3, h, w)``.
        side: Of the windows, in coefficients.

    Returns:
        Two times ``(B, 2)``, one column for each source, in nats.
    """
    height, width = (length // BLOCK * BLOCK for length in bands.shape[2:])
    bands = bands[..., :height, :width]
    # Windows around the centres of blocks, those that reach beyond the border left out.
    crop = math.ceil((side - 1) / 2 / BLOCK)
    start = 1 + BLOCK * crop - (side - 1) // 2
    moments = local_moments(
        bands[..., start : height - start, start : width - start],
        [(0, 1), (0, 2)],
        lambda planes: _window_mean(planes, side),
    )
    gain, distortion = local_gain(moments.variance[:, :1], moments.variance[:, 1:], moments.covariance, TINY)
    # The axes of a smooth image differ so much in variance that float32 cannot invert them.
    energies, variances = _energies(bands[:, 1:].flatten(0, 1).double(), crop)
    energies, variances = energies.to(bands.dtype), variances.to(bands.dtype)
    energies, variances = energies.unflatten(0, (-1, 2)), variances.unflatten(0, (-1, 2))
    through_fused = _information(energies * gain.square() / (distortion + EYE_NOISE), variances)
    return through_fused, _information(energies / EYE_NOISE, variances)


@each_channel
def wavelet_information_fidelity(fused: Tensor, source_a: Tensor, source_b: Tensor, data_range: float = 1.0) -> Tensor:
    """VIF in the wavelet domain (Sheikh & Bovik, 2006), the mean of both sources; about 0..2.

    On the bands of vertical and horizontal edges of a steerable pyramid with four levels: a source's blocks of 3 x 3
    coefficients are a Gaussian vector with variances l along its principal axes, times a local energy s. With the
    local gain g and distortion d of the fused image, in windows of 17, 9, 5 and 3 coefficients from the finest level
    to the coarsest, VIF is ``sum log(1 + g^2 s l / (d + 0.4)) / sum log(1 + s l / 0.4)``.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255, at least 136 pixels a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        data_range: White, after 0..255 is scaled. The noise of 0.4 is meant for 255, yet the program that tables
            of fusion come from passes images 0..1, which gives larger values.

    Returns:
        ``(B,)``; a constant source adds 0.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or a data range that is not above 0.
    """
    _check_data_range(data_range)
    planes = torch.stack(grey_levels(fused, source_a, source_b, minimum_side=MINIMUM_SIDE), dim=1)
    # No band sees the level; without it constant images become exactly 0.
    planes = (planes - planes.mean((2, 3), keepdim=True).round()) * (data_range / 255)
    through_fused = from_source = planes.new_zeros(())
    for bands, side in zip(oriented_bands(planes.flatten(0, 1)), (17, 9, 5, 3), strict=True):
        for band in bands:
            through, source = _band_information(band.unflatten(0, (-1, 3)), side)
            through_fused, from_source = through_fused + through, from_source + source
    return ratio(through_fused, from_source).mean(1)


def _check_data_range(data_range: float) -> None:
    if not data_range > 0:
        raise FusionLabError(f"Parameter `data_range` should be above 0. Found `data_range = {data_range}`.")


class WaveletVIF(FusionMetric):
    """VIF in the wavelet domain, see `wavelet_information_fidelity`.

    Args:
        data_range: White, after 0..255 is scaled.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "WaveletVIF"
    higher_is_better = True

    def __init__(self, data_range: float = 1.0, **options: Any) -> None:
        _check_data_range(data_range)
        super().__init__(**options)
        self.data_range = data_range

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return WaveletVIF of each image, ``(B,)``."""
        return wavelet_information_fidelity(fused, source_a, source_b, self.data_range)
