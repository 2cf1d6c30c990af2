"""Applying a network to images of any size under a memory limit."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.layers.padding import pad_to_next_multiple
from fusion_lab.networks.layers.pooling import SharedMeans, UnknownMeanError
from fusion_lab.networks.layers.strips import in_strips

SMALLEST_SIDE = 8
"""The smallest side of an image that can be fused, in pixels."""
_GRID = 8
_SMALLEST_TILE = 4 * _GRID
_LARGEST_OVERLAP = 8 * _GRID
_GIBIBYTE = 2**30


@torch.inference_mode()
def fuse_luminance(network: FusionNetwork, source_a: Tensor, source_b: Tensor, memory_limit: float = 6.0) -> Tensor:
    """Fuse two luminance images of any size.

    Images are padded as the official test programs do (`FusionNetwork.test_padding`). What then needs more
    memory than the limit is fused in overlapping tiles. The outermost pixels of a tile, which see its border,
    are left out, and the rest of the overlap is blended smoothly. What a network pools over the whole image, as OAF
    of TITA does, all tiles share (`image_mean`): each of these means takes one more pass over the tiles up to there.

    Args:
        network: The network; it runs on its own device, in evaluation mode.
        source_a: Luminance of the first source, ``(1, 1, H, W)`` in [0, 1].
        source_b: Luminance of the second source, ``(1, 1, H, W)`` in [0, 1].
        memory_limit: The memory that the network may take, in GiB; allocators need a little more.

    Returns:
        What the network gives of the pair, ``(1, 1, H, W)`` of a fusion network; it may leave [0, 1] a little.

    Raises:
        FusionLabError: A side is shorter than 8 pixels, the sizes differ, the limit is too small for any
            tile, or the device has less memory than the limit.
    """
    if source_a.shape != source_b.shape:
        sizes = " and ".join(f"{width}x{height}" for *_, height, width in (source_a.shape, source_b.shape))
        raise FusionLabError(f"The sources differ in size ({sizes}): register them to the same size first.")
    height, width = source_a.shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise FusionLabError(
            f"Images of {width}x{height} pixels are too small: both sides need {SMALLEST_SIDE} or more."
        )
    if multiple := network.test_padding:
        source_a, source_b = _padded(source_a, multiple), _padded(source_b, multiple)
    rows, columns = _tile_size(network, source_a, memory_limit)
    with _evaluating(network), in_strips():
        try:
            fused = _fuse_tiles(network, source_a, source_b, rows, columns)
        except torch.OutOfMemoryError:
            raise FusionLabError(
                f"The device has no room for tiles of {columns}x{rows} pixels: lower the memory limit "
                f"of {memory_limit:g} GiB."
            ) from None
    return fused[..., :height, :width]


def blending_weights(length: int, tile: int) -> tuple[list[int], Tensor]:
    """Say where tiles lie along an axis and how much each counts at every pixel.

    Args:
        length: Pixels along the axis.
        tile: Pixels of a tile, a multiple of 8; the last tile may be up to 7 shorter.

    Returns:
        The first pixels of the tiles, multiples of 8, and the weights ``(tiles, length)``, which sum to 1
        over the tiles: raised cosines inside the overlaps, zero in the outer quarter of each overlap.
    """
    if tile >= length:
        return [0], torch.ones(1, length)
    overlap = min(_LARGEST_OVERLAP, tile // (2 * _GRID) * _GRID)
    last = math.ceil((length - tile) / _GRID) * _GRID
    starts = [*range(0, last, tile - overlap), last]

    place = torch.arange(length, dtype=torch.float64) + 0.5
    weights = torch.zeros(len(starts), length, dtype=torch.float64)
    for i, start in enumerate(starts):
        end = min(start + tile, length)
        # The borders of the image are no borders between tiles.
        to_left = place - start if start > 0 else torch.full_like(place, overlap)
        to_right = end - place if end < length else torch.full_like(place, overlap)
        distance = torch.minimum(to_left, to_right)
        ramp = ((distance / overlap - 0.25) * 2).clamp(0, 1)
        weights[i] = (1 - torch.cos(math.pi * ramp)) / 2
    return starts, (weights / weights.sum(0)).float()


def _fuse_tiles(network: FusionNetwork, source_a: Tensor, source_b: Tensor, rows: int, columns: int) -> Tensor:
    height, width = source_a.shape[-2:]
    device = next((parameter.device for parameter in network.parameters()), source_a.device)
    if (rows, columns) == (height, width):
        return network(source_a.to(device), source_b.to(device)).to(source_a.device)
    means = SharedMeans()
    tops, row_weights = blending_weights(height, rows)
    lefts, column_weights = blending_weights(width, columns)
    row_weights, column_weights = row_weights.to(device), column_weights.to(device)
    while True:
        fused = None
        for (i, top), (j, left) in product(enumerate(tops), enumerate(lefts)):
            place = (..., slice(top, top + rows), slice(left, left + columns))
            weights = row_weights[i, place[1], None] * column_weights[j, place[2]]
            try:
                with means.tile(weights):
                    tile = network(source_a[place].to(device), source_b[place].to(device))
            except UnknownMeanError:
                continue
            if fused is None:
                fused = source_a.new_zeros(*tile.shape[:2], height, width)
            fused[place] += (tile * weights).to(fused.device)
        if fused is not None:
            return fused
        means.next()


def _tile_size(network: FusionNetwork, source: Tensor, memory_limit: float) -> tuple[int, int]:
    """Give the height and width of the tiles: multiples of 8, as square as may be, or the whole image."""
    height, width = source.shape[-2:]
    pixels = memory_limit * _GIBIBYTE / network.bytes_per_pixel
    if height * width <= pixels:
        return height, width
    if pixels < _SMALLEST_TILE**2:
        needed = network.bytes_per_pixel * _SMALLEST_TILE**2 / _GIBIBYTE
        raise FusionLabError(
            f"The memory limit of {memory_limit:g} GiB is too small for {type(network).__name__}: "
            f"give {math.ceil(needed * 1000) / 1000:g} or more."
        )
    side = math.isqrt(int(pixels))
    if height <= side:
        return height, int(pixels / height) // _GRID * _GRID
    if width <= side:
        return int(pixels / width) // _GRID * _GRID, width
    return side // _GRID * _GRID, side // _GRID * _GRID


def _padded(source: Tensor, multiple: int) -> Tensor:
    """Pad as `pad_to_next_multiple`, mirroring over and over where a side is shorter than its padding."""
    height, width = ((side // multiple + 1) * multiple for side in source.shape[-2:])
    for dim in (-2, -1):
        while source.shape[dim] < multiple:
            source = torch.cat([source, source.flip(dim)], dim)
    return pad_to_next_multiple(source, multiple)[..., :height, :width]


@contextmanager
def _evaluating(network: FusionNetwork) -> Iterator[None]:
    """Switch to evaluation mode, and every part back to its own mode afterwards."""
    training = [part for part in network.modules() if part.training]
    network.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
