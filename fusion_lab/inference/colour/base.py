"""What every colour rule promises: networks fuse luminance alone, and the colours are put around it afterwards."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.images import Picture, Pixels

Values = NDArray[np.float64]
"""Levels that are no whole numbers yet."""


class ColourRule(ABC):
    """How pictures become what a network fuses, and its result a picture again.

    Unlike in the releases, two grey pictures give a grey one of a single channel also where they are stored as RGB,
    16 bits are kept, and so is alpha: that of the one picture that has it, or the larger of the two at each pixel.
    """

    @abstractmethod
    def luminance(self, picture: Picture) -> Pixels:
        """Give what the network sees of a picture, ``(H, W)`` in the levels of its own type."""

    @abstractmethod
    def to_whole(self, values: Values) -> Values:
        """Make grey levels whole numbers."""

    def merge(self, a: Picture, b: Picture, fused: Values) -> Picture:
        """Put the colours and the transparency of two pictures around their fused luminance.

        Args:
            a: The first source, ``(H, W)`` or ``(H, W, 3)``.
            b: The second source, of the same size.
            fused: The fused luminance ``(H, W)`` in [0, 1].

        Returns:
            A picture with the bits of the deeper source, grey if both sources are, with the place and the resolution
            of the first.
        """
        a, b = to_common_depth(a, b)
        alphas = [picture.alpha for picture in (a, b) if picture.alpha is not None]
        alpha = np.maximum.reduce(alphas) if alphas else None
        values = fused * a.levels
        grey = a.is_grey and b.is_grey
        pixels = self.to_whole(values).astype(a.pixels.dtype) if grey else self._merge_chrominance(a, b, values)
        return Picture(pixels, alpha, a.geotags, a.resolution)

    @abstractmethod
    def _merge_chrominance(self, a: Picture, b: Picture, values: Values) -> Pixels:
        """Give ``(H, W, 3)`` RGB of two pictures of the same type, at least one of them coloured."""


def to_common_depth(a: Picture, b: Picture) -> tuple[Picture, Picture]:
    """Give both pictures with the bits of the deeper one."""
    return (a, b) if a.pixels.dtype == b.pixels.dtype else (a.deepen(), b.deepen())
