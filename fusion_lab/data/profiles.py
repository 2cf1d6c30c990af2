"""Colours that a profile of the ICC describes, brought to sRGB by LittleCMS."""

from functools import lru_cache

import imagecodecs
import numpy as np

from fusion_lab.data.picture import Pixels

_STEPS = 9
# The shortcuts of LittleCMS miss dark grey by up to ten levels of 255, and 16-bit colours by as much.
_EXACT = imagecodecs.CMS.FLAGS.NOOPTIMIZE


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """Convert levels to sRGB with the intent of the profile; what is sRGB already stays as it is.

    Args:
        pixels: ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` CMYK, uint8 or uint16.
        profile: The ICC profile; one that cannot be read, or is of other colours than the pixels, says nothing.

    Returns:
        ``(H, W)`` where it was grey, ``(H, W, 3)`` otherwise, of the same type. CMYK stays where nothing is said.
    """
    space = profile[16:20]
    if space != {2: b"GRAY"}.get(pixels.ndim, {3: b"RGB ", 4: b"CMYK"}.get(pixels.shape[-1], b"")):
        return pixels
    try:
        if _changes_nothing(profile):
            return pixels
        return _converted(pixels, profile)
    except (imagecodecs.CmsError, ValueError, RuntimeError):
        return pixels


def _converted(pixels: Pixels, profile: bytes) -> Pixels:
    space = "gray" if pixels.ndim == 2 else "rgb" if pixels.shape[-1] == 3 else "cmyk"
    rgb = imagecodecs.cms_transform(
        np.ascontiguousarray(pixels), profile, _srgb(), colorspace=space, outcolorspace="rgb", flags=_EXACT
    )
    return rgb[..., 1] if space == "gray" else rgb


@lru_cache(maxsize=32)
def _changes_nothing(profile: bytes) -> bool:
    """Tell whether a profile is that of sRGB, whatever it calls itself: no colour moves by more than a level."""
    if profile[16:20] != b"RGB ":
        return False
    steps = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    return bool(abs(_converted(colours, profile).astype(int) - colours).max() <= 1)


@lru_cache(maxsize=1)
def _srgb() -> bytes:
    return imagecodecs.cms_profile("srgb")
