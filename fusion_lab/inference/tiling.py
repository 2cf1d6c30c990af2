"""Applying a network to images of any size under a memory limit."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.tile_file import TileFile
from fusion_lab.networks.base import FusionNetwork, ManySourceNetwork
from fusion_lab.networks.layers.padding import pad_to_next_multiple
from fusion_lab.networks.layers.pooling import SharedMeans, UnknownMeanError
from fusion_lab.networks.layers.strips import in_strips

Order = Literal["fold", "tree"]
_ORDERS: tuple[Order, ...] = ("fold", "tree")
SMALLEST_SIDE = 8
"""The smallest side of an image that can be fused, in pixels."""
_GRID = 8
_SMALLEST_TILE = 4 * _GRID
_LARGEST_OVERLAP = 8 * _GRID
_GIBIBYTE = 2**30


def fuse_luminance(network: FusionNetwork, source_a: Tensor, source_b: Tensor, memory_limit: float = 6.0) -> Tensor:
    """Fuse two luminance images of any size.

    Images are padded as the official test programs do (`FusionNetwork.test_padding`). What then needs more
    memory than the limit is fused in overlapping tiles. The outermost pixels of a tile, which see its border,
    are left out, and the rest of the overlap is blended smoothly. What a network pools over the whole image, as OAF
    of TITA does, all tiles share (`image_mean`): each of these means takes one more pass over the tiles up to there.
    On a CPU TITA keeps what it computed before in a temporary file, if the disk has room.

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
    return _fuse_once(network, [source_a, source_b], memory_limit)


def fuse_many(
    network: FusionNetwork, sources: Sequence[Tensor], memory_limit: float = 6.0, order: Order = "fold"
) -> Tensor:
    """Fuse two or more luminance images, such as a focus stack or a bracket of exposures.

    A `ManySourceNetwork` takes all at once, by its own rule. Any other network takes two at a time, and what it gives
    goes on as it is, only cut to [0, 1].

    Args:
        network: The network, as of `fuse_luminance`.
        sources: Luminance of the sources, ``(1, 1, H, W)`` in [0, 1] each.
        memory_limit: The memory that the network may take, in GiB.
        order: ``fold`` fuses the first two, then the result with the third, and so on; ``tree`` fuses neighbours, then
            the results of neighbours: no source passes the network more often than the logarithm of their number.

    Returns:
        ``(1, 1, H, W)``; it may leave [0, 1] a little.

    Raises:
        FusionLabError: There are less than two sources, there is no such order, or `fuse_luminance` fails.
    """
    if len(sources) < 2:
        raise FusionLabError(f"Fusing takes two sources or more. Found {len(sources)}.")
    if order not in _ORDERS:
        raise FusionLabError(f"`order` should be one of {', '.join(_ORDERS)}. Found `order = {order}`.")
    if isinstance(network, ManySourceNetwork):
        return _fuse_once(network, sources, memory_limit)
    waiting = list(sources)
    while len(waiting) > 1:
        pairs = len(waiting) // 2 if order == "tree" else 1
        fused = [_fuse_once(network, waiting[2 * i : 2 * i + 2], memory_limit) for i in range(pairs)]
        waiting = fused + waiting[2 * pairs :]
        if len(waiting) > 1:
            waiting[:pairs] = [image.clamp(0, 1) for image in fused]
    return waiting[0]


@torch.inference_mode()
def _fuse_once(network: FusionNetwork, sources: Sequence[Tensor], memory_limit: float) -> Tensor:
    if len({source.shape for source in sources}) > 1:
        sizes = " and ".join(dict.fromkeys(f"{width}x{height}" for *_, height, width in (s.shape for s in sources)))
        raise FusionLabError(f"The sources differ in size ({sizes}): register them to the same size first.")
    height, width = sources[0].shape[-2:]
    if min(height, width) < SMALLEST_SIDE:
        raise FusionLabError(
            f"Images of {width}x{height} pixels are too small: both sides need {SMALLEST_SIDE} or more."
        )
    if multiple := network.test_padding:
        sources = [_padded(source, multiple) for source in sources]
    rows, columns = _tile_size(network, sources, memory_limit)
    with _evaluating(network), in_strips():
        try:
            fused = _fuse_tiles(network, sources, rows, columns)
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
        over the tiles: raised cosines inside the overlaps, zero in the outer three eighths of each overlap.
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
        ramp = ((distance / overlap - 0.375) * 4).clamp(0, 1)
        weights[i] = (1 - torch.cos(math.pi * ramp)) / 2
    return starts, (weights / weights.sum(0)).float()


def _fuse_tiles(network: FusionNetwork, sources: Sequence[Tensor], rows: int, columns: int) -> Tensor:
    first = sources[0]
    height, width = first.shape[-2:]
    device = next((parameter.device for parameter in network.parameters()), first.device)

    def fuse(part: tuple[Any, ...] = ()) -> Tensor:
        given = [source[part].to(device) for source in sources]
        # Only `__call__` runs the hooks of a network.
        if len(given) == 2:
            return network(*given)
        assert isinstance(network, ManySourceNetwork)
        return network.fuse_all(given)

    if (rows, columns) == (height, width):
        return fuse().to(first.device)
    tops, row_weights = blending_weights(height, rows)
    lefts, column_weights = blending_weights(width, columns)
    row_weights, column_weights = row_weights.to(device), column_weights.to(device)
    with closing(TileFile(len(tops) * len(lefts))) as kept:
        means = SharedMeans(kept)
        while True:
            fused = None
            for number, ((i, top), (j, left)) in enumerate(product(enumerate(tops), enumerate(lefts))):
                place = (..., slice(top, top + rows), slice(left, left + columns))
                weights = row_weights[i, place[1], None] * column_weights[j, place[2]]
                try:
                    with means.tile(number, weights):
                        tile = fuse(place)
                except UnknownMeanError:
                    continue
                if fused is None:
                    fused = first.new_zeros(*tile.shape[:2], height, width)
                fused[place] += (tile * weights).to(fused.device)
            if fused is not None:
                return fused
            means.next()


def _tile_size(network: FusionNetwork, sources: Sequence[Tensor], memory_limit: float) -> tuple[int, int]:
    """Return the height and width of the tiles: multiples of 8, as square as may be, or the whole image."""
    height, width = sources[0].shape[-2:]
    bytes_per_pixel = network.bytes_per_pixel * len(sources) / 2
    pixels = memory_limit * _GIBIBYTE / bytes_per_pixel
    if height * width <= pixels:
        return height, width
    if pixels < _SMALLEST_TILE**2:
        needed = bytes_per_pixel * _SMALLEST_TILE**2 / _GIBIBYTE
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
