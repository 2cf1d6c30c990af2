"""Colours around a fused luminance: networks fuse luminance, chrominance is mixed by its strength."""

import cv2
import numpy as np

from fusion_lab.data.images import Picture, Pixels


def to_common_depth(a: Picture, b: Picture) -> tuple[Picture, Picture]:
    """Give both pictures with the bits of the deeper one."""
    return (a, b) if a.pixels.dtype == b.pixels.dtype else (a.deepen(), b.deepen())


def merge_colours(a: Picture, b: Picture, luminance: Pixels) -> Picture:
    """Put the colours and the transparency of two pictures around their fused luminance.

    As TITA's ``test.py``: in OpenCV's YCrCb, each chrominance is ``(c_a m_a + c_b m_b) / (m_a + m_b)`` with
    ``m = |c - neutral|``, cut to a whole number; it is neutral where both are. A grey picture has ``m = 0``,
    so that the other one gives all colour.

    Unlike there, two grey pictures give a grey one of a single channel, 16 bits are kept, and so is alpha:
    that of the one picture that has it, or the larger of the two at each pixel.

    Args:
        a: The first source, ``(H, W)`` or ``(H, W, 3)``.
        b: The second source, of the same size.
        luminance: The fused luminance ``(H, W)``, of the deeper type of the two.
    """
    a, b = to_common_depth(a, b)
    alphas = [picture.alpha for picture in (a, b) if picture.alpha is not None]
    alpha = np.maximum.reduce(alphas) if alphas else None
    if a.is_grey and b.is_grey:
        return Picture(luminance, alpha)

    neutral = (a.levels + 1) // 2
    chrominance_a, chrominance_b = _chrominance(a), _chrominance(b)
    strength_a, strength_b = abs(chrominance_a - neutral), abs(chrominance_b - neutral)
    strength = strength_a + strength_b
    # Whole numbers throughout: a floor division is the exact quotient, cut.
    mixed = (chrominance_a * strength_a + chrominance_b * strength_b) // np.maximum(strength, 1)
    mixed[strength == 0] = neutral
    ycrcb = np.dstack([luminance, mixed.astype(luminance.dtype)])
    return Picture(cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB), alpha)


def _chrominance(picture: Picture) -> Pixels:
    """Give Cr and Cb, ``(H, W, 2)`` int64."""
    pixels = picture.pixels
    rgb = np.dstack([pixels] * 3) if pixels.ndim == 2 else np.ascontiguousarray(pixels)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.int64)
