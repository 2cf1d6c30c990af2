"""Images to measure."""

import torch
from torch import Tensor


def random_triple(batch: int, height: int, width: int, seed: int = 0, channels: int = 1) -> tuple[Tensor, ...]:
    """Noise: fused image and sources, ``(B, C, H, W)`` each, integers 0..255 in float64."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (3, batch, channels, height, width), generator=generator)
    return tuple(levels.double())


def scene(side: int = 64) -> tuple[Tensor, Tensor]:
    """A smooth image with edges of all orientations and levels up to 127, and its mirror image."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.floor(63.5 * (1 + torch.sin(x / 5.0) * torch.cos(y / 7.0)))[None, None].double()
    return image, image.flip(-1)
