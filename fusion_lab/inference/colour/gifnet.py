"""The colour rule of GIFNet's release (``test.py``)."""

from collections.abc import Sequence

import numpy as np

from fusion_lab.data.images import Picture, Pixels
from fusion_lab.inference.colour.base import ColourRule, Values

_LUMINANCE = (0.299, 0.587, 0.114)
_CHROMINANCE = np.array([[-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
_TO_RGB = np.array([[0, 1.402], [-0.344136, -0.714136], [1.772, 0]])


class GIFNetColours(ColourRule):
    """A luminance that is cut to whole numbers, and the chrominance of the coloured source.

    ``Y = 0.299 R + 0.587 G + 0.114 B``; Cb and Cr are 0 where there is no colour. If one source is coloured, its
    chrominance is kept; if both are, each is ``(c_a m_a + c_b m_b) / (m_a + m_b)`` with ``m = |c - 128|``. That is a
    quirk of the release, whose chrominance has no offset of 128: not the stronger colour counts more, but the one that
    is more yellow (Cb) or less red (Cr). Coloured results are rounded from the fused luminance as it is, grey results
    are cut.

    With 16 bits the same holds at 32768.
    """

    def luminance(self, picture: Picture) -> Pixels:
        """Return ``Y``, ``(H, W)``, of a grey picture its own levels."""
        pixels = picture.pixels
        if picture.is_grey:
            return pixels if pixels.ndim == 2 else pixels[..., 0]
        luminance = pixels[..., 0] * _LUMINANCE[0]
        for channel, weight in enumerate(_LUMINANCE[1:], 1):
            # The release's NumPy rounds once for each product and sum (fused multiply-add). Where Y is whole, a second
            # rounding would tip the cut by a level, which the network makes several levels of.
            exact = pixels[..., channel] * np.longdouble(weight) + luminance
            luminance = exact.astype(np.float64)
        return luminance.clip(0, picture.levels).astype(pixels.dtype)

    def to_whole(self, values: Values) -> Values:
        """Cut."""
        return np.floor(values)

    def _merge_chrominance(self, coloured: Sequence[Picture], values: Values) -> Pixels:
        levels, dtype = coloured[0].levels, coloured[0].pixels.dtype
        own = [picture.pixels @ _CHROMINANCE.T for picture in coloured]
        weights = [abs(chrominance - (levels + 1) / 2) for chrominance in own]
        mixed = sum(c * weight for c, weight in zip(own, weights, strict=True)) / sum(weights)
        rgb = values[..., None] + mixed @ _TO_RGB.T
        return np.rint(rgb.clip(0, levels)).astype(dtype)
