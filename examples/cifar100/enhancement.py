"""Enhancing many small images at once."""

import numpy as np
import torch
from numpy.typing import NDArray

from fusion_lab.data.images import Picture
from fusion_lab.inference.colour import colour_rule
from fusion_lab.inference.fuser import paint
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.networks.base import FusionNetwork


def enhance_batch(network: FusionNetwork, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fuse each image with itself (GIFNet, equation 2), with the colour rule of the network.

    As `Fuser` does one by one, but that a grey image among coloured ones is rounded like them.

    Args:
        network: The network; it runs on the device that it is on.
        images: RGB, ``(B, H, W, 3)``, of a size that needs no tiles.

    Returns:
        RGB, ``(B, H, W, 3)``.
    """
    rule = colour_rule(network)
    count, height, width, _ = images.shape
    # Colour rules see points alone, so that all images may stand on top of each other.
    column = Picture(images.reshape(count * height, width, 3))
    levels = rule.luminance(column).reshape(count, 1, height, width)
    luminance = torch.from_numpy(levels.astype(np.float32) / np.float32(255))
    fused = fuse_luminance(network, luminance, luminance).reshape(count * height, width)
    pixels = paint((column, column), fused, rule).pixels
    rgb = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
    return rgb.reshape(images.shape)
