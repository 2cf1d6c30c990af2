"""The colour rule of TITA's release (``test.py``)."""

from collections.abc import Sequence

import cv2
import numpy as np

from fusion_lab.data.images import Picture, Pixels
from fusion_lab.inference.colour.base import ColourRule, Values


class TITAColours(ColourRule):
    """Pillow's luminance, and the chrominance of the sources mixed by its strength.

    In OpenCV's YCrCb, each chrominance is ``(c_a m_a + c_b m_b) / (m_a + m_b)`` with ``m = |c - neutral|``, cut to a
    whole number; it is neutral where both are. A grey picture has ``m = 0``, so that the other one gives all colour.
    More sources are further terms of both sums. The luminance is rounded.
    """

    def luminance(self, picture: Picture) -> Pixels:
        """Return the luma of `Picture.luminance`, ``(H, W)``."""
        return picture.luminance()

    def to_whole(self, values: Values) -> Values:
        """Round."""
        return np.rint(values)

    def _merge_chrominance(self, coloured: Sequence[Picture], values: Values) -> Pixels:
        neutral = (coloured[0].levels + 1) // 2
        own = [_chrominance(picture) for picture in coloured]
        strengths = [abs(chrominance - neutral) for chrominance in own]
        strength = np.add.reduce(strengths)
        # Whole numbers throughout: a floor division is the exact quotient, cut.
        weighted = np.add.reduce([chrominance * each for chrominance, each in zip(own, strengths, strict=True)])
        mixed = weighted // np.maximum(strength, 1)
        mixed[strength == 0] = neutral
        ycrcb = np.dstack([self.to_whole(values), mixed]).astype(coloured[0].pixels.dtype)
        return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)


def _chrominance(picture: Picture) -> Pixels:
    """Return Cr and Cb, ``(H, W, 2)`` int64."""
    return cv2.cvtColor(np.ascontiguousarray(picture.pixels), cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.int64)
