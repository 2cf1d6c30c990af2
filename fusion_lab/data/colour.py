"""Colour as numbers between 0 and 1, for what needs more than luminance."""

import numpy as np
from kornia.color import rgb_to_grayscale
from numpy.typing import NDArray
from torch import Tensor

from fusion_lab.data.images import Picture


def rgb(picture: Picture) -> NDArray[np.float32]:
    """Return a picture as RGB ``(H, W, 3)`` in [0, 1], three equal channels where it is grey."""
    scaled = picture.pixels.astype(np.float32) / np.float32(picture.levels)
    return scaled if scaled.ndim == 3 else np.repeat(scaled[..., None], 3, axis=2)


def luma(images: Tensor) -> Tensor:
    """Return the ITU-R 601 luma ``(B, 1, H, W)`` of RGB ``(B, 3, H, W)``, and luminance ``(B, 1, H, W)`` as it is."""
    # The three weights may sum to a little more than 1.
    return images if images.shape[1] == 1 else rgb_to_grayscale(images).clamp(0, 1)
