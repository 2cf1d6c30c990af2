"""What every colour rule promises: networks fuse luminance alone, and the colours are put around it afterwards."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.images import Picture, Pixels

Values = NDArray[np.float64]
"""Levels that are no whole numbers yet."""

_PART = 2**20
"""Pixels that are coloured at once: whole numbers of 64 bits take much memory."""


class ColourRule(ABC):
    """How pictures become what a network fuses, and its result a picture again.

    Unlike in the releases, two grey pictures give a grey one of a single channel also where they are stored as RGB,
    16 bits are kept, and so is alpha: that of the one picture that has it, or the largest at each pixel.
    """

    @abstractmethod
    def luminance(self, picture: Picture) -> Pixels:
        """Return what the network sees of a picture, ``(H, W)`` in the levels of its own type."""

    @abstractmethod
    def to_whole(self, values: Values) -> Values:
        """Make grey levels whole numbers."""

    def merge(self, a: Picture, b: Picture, fused: Values) -> Picture:
        """Put the colours and the transparency of two pictures around their fused luminance: see `merge_all`."""
        return self.merge_all([a, b], fused)

    def merge_all(self, sources: Sequence[Picture], fused: Values) -> Picture:
        """Put the colours and the transparency of pictures around their fused luminance.

        Args:
            sources: Two or more pictures of one size, ``(H, W)`` or ``(H, W, 3)``.
            fused: The fused luminance ``(H, W)`` in [0, 1].

        Returns:
            A picture with the bits of the deepest source, grey if all sources are, with the place and the resolution
            of the first.
        """
        sources = to_common_depth(sources)
        first = sources[0]
        alphas = [picture.alpha for picture in sources if picture.alpha is not None]
        alpha = np.maximum.reduce(alphas) if alphas else None
        values = fused * first.levels
        coloured = [picture for picture in sources if not picture.is_grey]
        if coloured:
            pixels = np.empty((*first.size, 3), first.pixels.dtype)
            step = max(1, _PART // first.size[1])
            for rows in (slice(top, top + step) for top in range(0, first.size[0], step)):
                parts = [Picture(picture.pixels[rows]) for picture in coloured]
                pixels[rows] = self._merge_chrominance(parts, values[rows])
        else:
            pixels = self.to_whole(values).astype(first.pixels.dtype)
        return Picture(pixels, alpha, first.geotags, first.resolution)

    @abstractmethod
    def _merge_chrominance(self, coloured: Sequence[Picture], values: Values) -> Pixels:
        """Return ``(H, W, 3)`` RGB of one or more pictures of the same type, all of them coloured, by pixels."""


def to_common_depth(sources: Sequence[Picture]) -> list[Picture]:
    """Return the pictures with the bits of the deepest one."""
    if len({picture.pixels.dtype for picture in sources}) == 1:
        return list(sources)
    return [picture.deepen() for picture in sources]
