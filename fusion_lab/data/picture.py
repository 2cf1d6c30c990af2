"""One decoded image, in whole levels."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""Levels, uint8 or uint16."""

Tags = tuple[tuple[Any, ...], ...]
"""Tags of TIFF that are kept, as ``extratags`` of tifffile."""

NODATA = 42113
"""The tag in which GDAL tells the value that means nothing."""


@dataclass(frozen=True)
class Picture:
    """One decoded image.

    Attributes:
        pixels: ``(H, W)`` grey or ``(H, W, 3)`` sRGB, uint8 or uint16.
        alpha: ``(H, W)`` of the same type, or None where the file has none.
        geotags: Where on Earth it lies, and which value means nothing there, where a TIFF tells.
        resolution: Pixels per inch, across and down, where the file tells.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    geotags: Tags = ()
    resolution: tuple[float, float] | None = None

    @property
    def is_grey(self) -> bool:
        """Whether the picture has one channel, or three equal ones as grey files stored as RGB have."""
        return self.pixels.ndim == 2 or bool(
            (self.pixels[..., 0] == self.pixels[..., 1]).all() and (self.pixels[..., 1] == self.pixels[..., 2]).all()
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def levels(self) -> int:
        """The largest level: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    def luminance(self) -> Pixels:
        """Return the ITU-R 601 luma ``(H, W)`` in Pillow's fixed-point arithmetic, as the releases do."""
        if self.pixels.ndim == 2:
            return self.pixels
        red, green, blue = (self.pixels[..., i].astype(np.uint64) for i in range(3))
        luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        return luma.astype(self.pixels.dtype)

    def without_colours(self) -> "Picture":
        """Return the luminance as a grey picture."""
        return replace(self, pixels=self.luminance())

    def deepen(self) -> "Picture":
        """Return the same picture with 16 bits a channel."""
        if self.pixels.dtype == np.uint16:
            return self
        alpha = None if self.alpha is None else self.alpha.astype(np.uint16) * 257
        tags = without_nodata(self.geotags)
        return replace(self, pixels=self.pixels.astype(np.uint16) * 257, alpha=alpha, geotags=tags)

    def flatten(self) -> "Picture":
        """Return the same picture with 8 bits a channel, rounded."""
        if self.pixels.dtype == np.uint8:
            return self

        def rounded(levels: Pixels) -> Pixels:
            return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)

        alpha = None if self.alpha is None else rounded(self.alpha)
        return replace(self, pixels=rounded(self.pixels), alpha=alpha, geotags=without_nodata(self.geotags))


def without_nodata(tags: Tags) -> Tags:
    """Leave out the value that means nothing: the levels are no longer those of the file."""
    return tuple(tag for tag in tags if tag[0] != NODATA)
