"""Fusing rasters band by band: pansharpening, and any two images of equally many bands."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fusion_lab.data.rasters import Raster
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.colour import colour_rule
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.networks.base import FusionNetwork

_LEAST_BITS = 8


def fuse_bands(
    network: FusionNetwork, a: Raster, b: Raster, white: float | None = None, memory_limit: float = 6.0
) -> Raster:
    """Fuse each band of a raster with a panchromatic image, or with the same band of another raster.

    As GIFNet's release does with satellite images: a network sees one band with one image, and the results are
    stacked. A smaller second raster is first brought onto the grid of the first by bicubic interpolation (Keys,
    a = -0.5), the outer borders of both on each other.

    Args:
        network: The network; it runs on the device that it is on.
        a: The panchromatic image of one band, or a raster of as many bands as ``b``, ``(H, W, 1)`` or ``(H, W, N)``.
        b: The raster whose bands are fused, ``(h, w, N)``, of the same type and shape of area, not larger than ``a``.
        white: The value that the network sees as 1; what is larger is cut to it. Unless given, `white_level`.
        memory_limit: The memory that the network may take, in GiB; what needs more is fused in tiles.

    Returns:
        ``(H, W, N)`` of the same type and unit, lying where ``a`` lies.

    Raises:
        FusionLabError: Types, areas or numbers of bands do not fit each other, or the network fails.
    """
    _check(a, b)
    if white is None:
        white = white_level(a, b)
    fused = np.empty((*a.size, b.values.shape[2]), a.values.dtype)
    with network.ordered_by(*(torch.full((1, 1, 1, 1), float(raster.values.mean())) for raster in (a, b))):
        _fuse_each(network, a, b, white, memory_limit, fused)
    return Raster(fused, a.geotags, a.resolution)


def _fuse_each(network: FusionNetwork, a: Raster, b: Raster, white: float, memory_limit: float, fused: NDArray) -> None:
    """Write the fused bands into ``fused`` ``(H, W, N)``."""
    for band in range(fused.shape[2]):
        first = _scaled(a.values[..., 0 if a.bands == 1 else band], white)
        second = _scaled(_resampled(b.values[..., band], a.size), white)
        result = fuse_luminance(network, first, second, memory_limit)[0, 0].double()
        if not result.isfinite().all():
            raise FusionLabError("The network gives infinite or undefined levels: its weights are not usable.")
        values = result.clamp(0, 1).cpu().numpy() * white
        fused[..., band] = values if fused.dtype == np.float32 else colour_rule(network).to_whole(values)


def white_level(a: Raster, b: Raster) -> float:
    """Tell which value is white: the largest that the sensor could give, as far as the values tell.

    That is 255 of uint8; 1 of floating-point numbers that do not exceed it; and else the next ``2^k - 1``, ``k >= 8``,
    that nothing in both rasters exceeds: 2047 for 11 bits in uint16.
    """
    top = max(float(a.values.max()), float(b.values.max()))
    if a.values.dtype == np.float32 and top <= 1:
        return 1.0
    return float(2 ** max(_LEAST_BITS, math.ceil(top).bit_length()) - 1)


def _check(a: Raster, b: Raster) -> None:
    if a.values.dtype != b.values.dtype:
        raise FusionLabError(f"One source holds {a.values.dtype}, the other {b.values.dtype}: store both alike.")
    if a.bands not in (1, b.values.shape[2]):
        raise FusionLabError(
            f"The first source has {a.bands} bands and the second {b.values.shape[2]}: give a panchromatic image "
            "first, or two images of equally many bands."
        )
    (height, width), (low_height, low_width) = a.size, b.size
    # How many pixels may lie in one: either number may have been rounded, up or down.
    least = max(height / (low_height + 1), width / (low_width + 1))
    most = min(height / max(low_height - 1, 0.5), width / max(low_width - 1, 0.5))
    if least >= most or low_height > height or low_width > width:
        raise FusionLabError(
            f"Bands of {low_width}x{low_height} pixels do not fit onto an image of {width}x{height}: "
            "cut both to the same area, and give the finer one first."
        )


def _resampled(band: NDArray, size: tuple[int, int]) -> NDArray:
    """Bring a band ``(h, w)`` to another size; it stays as it is where it has that size."""
    if band.shape == size:
        return band
    image = Image.fromarray(band.astype(np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))


def _scaled(band: NDArray, white: float) -> Tensor:
    """Return ``(1, 1, H, W)`` float32 in [0, 1]."""
    return torch.from_numpy((band.astype(np.float32) / np.float32(white)).clip(0, 1))[None, None]
