"""Means over whole images, also where a network sees an image tile by tile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.networks.layers.strips import row_parts

_shared: ContextVar["SharedMeans | None"] = ContextVar("shared", default=None)


def image_mean(*maps: Tensor) -> Tensor:
    """Compute the mean of each channel over the image, of one map ``(B, C, H, W)`` or of several: ``(B, all their C)``.

    Tiles then go once to where it is asked for, so ask for what is known at the same place together.
    """
    shared = _current()
    return torch.cat([x.mean(dim=(-2, -1)) for x in maps], dim=1) if shared is None else shared.mean(*maps)


def image_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and the variance of each of ``(B, C, H, W)`` over channels and image, ``(B, 1, 1, 1)`` each."""
    shared = _current()
    if shared is None:
        everywhere = (1, 2, 3)
        if len(parts := row_parts(x)) == 1:
            variance, mean = torch.var_mean(x, dim=everywhere, correction=0, keepdim=True)
            return mean, variance
        # On a CPU var_mean takes ten times as long.
        mean = x.mean(dim=everywhere, keepdim=True)
        squares = [(part - mean).square().sum(dim=everywhere, keepdim=True) for part in parts]
        return mean, torch.stack(squares).sum(dim=0) / x[0].numel()
    both = shared.mean(torch.stack([x.mean(dim=1), x.square().mean(dim=1)], dim=1))[..., None, None]
    mean, square = both.split(1, dim=1)
    return mean, square - mean.square()


def before_mean(compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Compute the maps that an `image_mean` is then taken of; tiles may keep them until the mean is known.

    Ask for it where what comes before is most of the work, and what a network needs afterwards is among the maps.
    """
    shared = _current()
    return compute() if shared is None else shared.before_mean(compute)


def _current() -> "SharedMeans | None":
    # Compiled code cannot read the context; it is for training, which has no tiles.
    return None if torch.compiler.is_compiling() else _shared.get()


class UnknownMeanError(Exception):
    """A tile went as far as what is known of the whole image; the mean that it asked for now knows of it."""


class KeptMaps(Protocol):
    """Where maps of tiles are kept, by the number of the tile and of the mean that comes after them."""

    def get(self, place: tuple[int, int]) -> tuple[Tensor, ...] | None:
        """Return what was kept, or None."""

    def put(self, place: tuple[int, int], maps: tuple[Tensor, ...]) -> None:
        """Keep maps, or not, if there is no room."""


class SharedMeans:
    """The means that a network asks for with `image_mean`, in the order in which it asks, over all tiles of an image.

    While one is unknown, each tile that asks for it adds its part and ends with `UnknownMeanError`. When all tiles did
    so, `next` makes it known.

    Args:
        kept: Where to keep what `before_mean` computes.
    """

    def __init__(self, kept: KeptMaps) -> None:
        self._kept = kept
        self._pending: tuple[Tensor, ...] | None = None
        self._known: list[Tensor] = []
        self._sum: Tensor | None = None
        self._weight = 0.0

    @contextmanager
    def tile(self, number: int, weights: Tensor) -> Iterator[None]:
        """Run a network on a tile whose pixels count as ``weights`` ``(H, W)`` say."""
        self._number, self._weights, self._asked = number, weights, 0
        token = _shared.set(self)
        try:
            yield
        finally:
            self._pending = None
            _shared.reset(token)

    def before_mean(self, compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Compute maps as the function of that name, or take what is kept."""
        if (kept := self._kept.get((self._number, self._asked))) is not None:
            return kept
        self._pending = compute()
        return self._pending

    def mean(self, *maps: Tensor) -> Tensor:
        """Compute the means of `image_mean` over the whole image; ``maps`` are those of the tile, of one size."""
        pending, self._pending = self._pending, None
        self._asked += 1
        if self._asked <= len(self._known):
            return self._known[self._asked - 1].to(maps[0].dtype)
        bottom, right = (side - known for side, known in zip(maps[0].shape[-2:], self._weights.shape, strict=True))
        # Maps may be larger than the tile at the borders of the image.
        weights = F.pad(self._weights[None], (0, right, 0, bottom), mode="replicate")[0].to(maps[0].dtype)
        total = torch.cat([torch.einsum("bchw,hw->bc", x, weights) for x in maps], dim=1).double()
        self._sum = total if self._sum is None else self._sum + total
        self._weight += weights.double().sum().item()
        if pending is not None:
            self._kept.put((self._number, self._asked - 1), pending)
        raise UnknownMeanError

    def next(self) -> None:
        """Make the mean known that all tiles have added to."""
        assert self._sum is not None
        self._known.append(self._sum / self._weight)
        self._sum, self._weight = None, 0.0
