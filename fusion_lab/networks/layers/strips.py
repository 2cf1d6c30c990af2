"""Inference over parts of the maps, in place: memory then grows by the maps alone.

Outside `in_strips`, as in training, everything works on whole maps.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import product
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.networks.layers.threads import Threads

_pixels: ContextVar[int | None] = ContextVar("pixels", default=None)
_threads: ContextVar[Threads] = ContextVar("threads")

PART = {"cpu": 2**12}
"""The pixels of a part that fit the caches, by the kind of device; elsewhere as many as `_PART_ELSEWHERE`."""
_PART_ELSEWHERE = 2**18
_LEAST_ROWS = 32

WHOLE_MAPS = 2**62
"""Pixels of a part that every map fits in."""


class Part(NamedTuple):
    """Where a part of a map lies whose windows are cut already.

    Attributes:
        bottom: Whether it holds the last windows of the columns, those with what wraps around.
        right: The same of the rows.
    """

    bottom: bool
    right: bool


@contextmanager
def in_strips(pixels: int | None = None) -> Iterator[None]:
    """Let networks run over parts of their maps, where no gradient is wanted; on a CPU several threads share them.

    Args:
        pixels: Pixels of a part, rounded to whole windows; as the device likes it unless given.
    """
    with Threads() as threads:
        tokens = _pixels.set(pixels or 0), _threads.set(threads)
        try:
            yield
        finally:
            _pixels.reset(tokens[0])
            _threads.reset(tokens[1])


def _part_pixels(x: Tensor) -> int | None:
    # Compiled code cannot read the context, and plans its own memory.
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return None
    pixels = _pixels.get()
    if pixels is None:
        return None
    return max(1, (pixels or PART.get(x.device.type, _PART_ELSEWHERE)) // len(x))


def in_strips_on_cpu(x: Tensor) -> bool:
    """Return whether ``x`` is a part of a map in float32 on a CPU, for which there are faster ways without gradient."""
    return _part_pixels(x) is not None and x.device.type == "cpu" and x.dtype == torch.float32


def over_windows(
    function: Callable[[Part | None, list[Tensor]], Sequence[Tensor]],
    streams: Sequence[Tensor],
    window: int,
    shift: int = 0,
    overwrite: bool = True,
    mirrored: bool = False,
) -> list[Tensor]:
    """Apply what is local to windows; with a window of one pixel, what is local to pixels.

    Args:
        function: Gives new maps for a part of the given ones, or, without a part, for the whole of them.
        streams: Maps ``(B, H, W, C)``, sides multiples of the window unless mirrored.
        window: Side of a window in pixels.
        shift: Pixels by which the windows are shifted, cyclically unless mirrored.
        overwrite: In strips, put the new maps in the place of the given ones.
        mirrored: Let the windows begin ``shift`` pixels before the maps and go on beyond them, where they are mirrored;
            the function gets the maps with these borders, and they are cut off what it gives.

    Returns:
        The new maps, ``(B, H, W, C)`` each.
    """
    pixels = _part_pixels(streams[0])
    height, width = streams[0].shape[1:3]
    top, left, bottom, right = shift, shift, height + shift, width + shift
    if mirrored:
        top, left, bottom, right = -shift, -shift, *(-(-side // window) * window - shift for side in (bottom, right))
    if pixels is None:
        if not mirrored or (top, left, bottom, right) == (0, 0, height, width):
            return list(function(None, list(streams)))
        border = (-left, right - width, -top, bottom - height)
        padded = [F.pad(x.permute(0, 3, 1, 2), border, mode="reflect").permute(0, 2, 3, 1) for x in streams]
        return [x[:, shift : shift + height, shift : shift + width] for x in function(None, padded)]
    columns = _step(right - left, max(1, pixels // window), window)
    rows = _step(bottom - top, max(1, pixels // columns), window)
    new = list(streams) if overwrite else []
    lock = Lock()

    def work(place: tuple[int, int]) -> None:
        row, column = place
        last_row, last_column = min(row + rows, bottom), min(column + columns, right)
        vertical = _pieces(row, last_row, height, mirrored)
        horizontal = _pieces(column, last_column, width, mirrored)
        taken = [_take(_take(stream, vertical, 1), horizontal, 2) for stream in streams]
        parts = function(Part(last_row == bottom, last_column == right), taken)
        with lock:
            if not new:
                new.extend(part.new_empty(len(part), height, width, part.shape[-1]) for part in parts)
        for whole, part in zip(new, parts, strict=True):
            _put(whole, vertical, horizontal, part)

    places = product(range(top, bottom, rows), range(left, right, columns))
    _threads.get().each(work, places, like=streams[0])
    return new


def over_rows(
    function: Callable[..., Tensor], maps: Sequence[Tensor], halo: int | None, into: Tensor | None = None
) -> Tensor:
    """Apply what sees ``halo`` pixels around each, such as convolutions, whatever they make of the borders.

    Args:
        function: Gives a map of the same height and width for some maps.
        maps: The maps, ``(B, C, H, W)`` each.
        halo: How far it sees; None if it sees the whole map, which it then gets.
        into: One of the maps, which nobody needs afterwards, with as many channels as the new one, and of which a pixel
            sees its own alone: in strips the new map takes its place.

    Returns:
        The new map, ``(B, C, H, W)``; in strips, with the channels last in memory.
    """
    pixels = _part_pixels(maps[0])
    if pixels is None or halo is None:
        return function(*maps)
    height, width = maps[0].shape[-2:]
    rows = max(pixels // width, _LEAST_ROWS, halo)
    new: list[Tensor] = []
    lock = Lock()

    def work(top: int) -> None:
        bottom = min(top + rows, height)
        first, last = max(top - halo, 0), min(bottom + halo, height)
        part = function(*(each[:, :, first:last] for each in maps))[:, :, top - first : bottom - first]
        with lock:
            if not new:
                shape = (*part.shape[:2], height, width)
                last_in_memory = torch.channels_last
                # Under autocast the maps are of several types.
                if into is not None and into.dtype == part.dtype:
                    new.append(into)
                else:
                    new.append(torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=last_in_memory))
        new[0][:, :, top:bottom] = part

    _threads.get().each(work, range(0, height, rows), like=maps[0])
    return new[0]


def row_parts(x: Tensor) -> Sequence[Tensor]:
    """Cut ``(B, C, H, W)`` into rows that fit the caches of a CPU; outside strips and elsewhere it stays whole."""
    pixels = _part_pixels(x)
    if pixels is None or not in_strips_on_cpu(x):
        return [x]
    return x.split(max(1, pixels // x.shape[-1]), dim=-2)


def _step(side: int, most: int, window: int) -> int:
    """Cut a side into equally many windows, of ``most`` pixels if possible; gives the pixels of a part."""
    windows, at_most = side // window, max(1, most // window)
    return -(-windows // -(-windows // at_most)) * window


def _pieces(start: int, stop: int, side: int, mirrored: bool) -> list[range]:
    """Say where a range lies that goes on at 0 where the side ends, or backwards at both ends where it is mirrored."""
    inner = range(max(start, 0), min(stop, side))
    before = range(-start, 0, -1) if mirrored else range(0)
    after = range(side - 2, 2 * side - 2 - stop, -1) if mirrored else range(stop - side)
    return [piece for piece in (before, inner, after) if piece]


def _take(x: Tensor, pieces: list[range], dim: int) -> Tensor:
    taken = [
        x.narrow(dim, piece.start, len(piece))
        if piece.step > 0
        else x.index_select(dim, torch.arange(piece.start, piece.stop, piece.step, device=x.device))
        for piece in pieces
    ]
    return torch.cat(taken, dim) if len(taken) > 1 else taken[0]


def _put(x: Tensor, vertical: list[range], horizontal: list[range], part: Tensor) -> None:
    top = 0
    for v in vertical:
        bottom, left = top + len(v), 0
        for h in horizontal:
            right = left + len(h)
            if v.step > 0 and h.step > 0:
                x[:, v.start : v.stop, h.start : h.stop] = part[:, top:bottom, left:right]
            left = right
        top = bottom
