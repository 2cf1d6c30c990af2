"""The colour rule of TITA's release (``test.py``)."""

import cv2
import numpy as np

from fusion_lab.data.images import Picture, Pixels
from fusion_lab.inference.colour.base import ColourRule, Values


class TITAColours(ColourRule):
    """Pillow's luminance, and the chrominance of both sources mixed by its strength.

    In OpenCV's YCrCb, each chrominance is ``(c_a m_a + c_b m_b) / (m_a + m_b)`` with ``m = |c - neutral|``, cut to a
    whole number; it is neutral where both are. A grey picture has ``m = 0``, so that the other one gives all colour.
    The luminance is rounded.
    """

    def luminance(self, picture: Picture) -> Pixels:
        """Give the luma of `Picture.luminance`, ``(H, W)``."""
        return picture.luminance()

    def to_whole(self, values: Values) -> Values:
        """Round."""
        return np.rint(values)

    def _merge_chrominance(self, a: Picture, b: Picture, values: Values) -> Pixels:
        neutral = (a.levels + 1) // 2
        chrominance_a, chrominance_b = _chrominance(a), _chrominance(b)
        strength_a, strength_b = abs(chrominance_a - neutral), abs(chrominance_b - neutral)
        strength = strength_a + strength_b
        # Whole numbers throughout: a floor division is the exact quotient, cut.
        mixed = (chrominance_a * strength_a + chrominance_b * strength_b) // np.maximum(strength, 1)
        mixed[strength == 0] = neutral
        ycrcb = np.dstack([self.to_whole(values), mixed]).astype(a.pixels.dtype)
        return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)


def _chrominance(picture: Picture) -> Pixels:
    """Give Cr and Cb, ``(H, W, 2)`` int64."""
    pixels = picture.pixels
    rgb = np.dstack([pixels] * 3) if pixels.ndim == 2 else np.ascontiguousarray(pixels)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.int64)
