"""Near- and far-focused images of a scene of two layers, rendered in batches on any device.

A focus map says how much of each pixel the near layer covers. That training images for multi-focus fusion should
spread the blur over the focus boundary as a lens does is due to Ma et al., "An α-matte boundary defocus model-based
cascaded network for multi-focus image fusion", IEEE TIP 2020; the two layers here are composed by Porter & Duff,
"Compositing digital images", SIGGRAPH 1984.
"""

from collections.abc import Callable
from math import ceil

import torch
from kornia.filters import filter2d, filter2d_separable
from torch import Tensor

Blur = Callable[[Tensor], Tensor]
"""Blurs maps ``(B, C, H, W)``, each sample with a point-spread of its own."""

_BORDER = "replicate"
_REACH = 3
"""Standard deviations after which a Gaussian ends."""
_LEAST_COVERAGE = 1e-6
"""Less is rounding, and no colour can be told from it."""


def gaussian_blur(maps: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur maps by Gaussians.

    Args:
        maps: ``(B, C, H, W)``.
        sigma: Standard deviation for each sample in pixels, ``(B,)``, greater than 0.
        largest: The largest that ``sigma`` may be: it decides the size of the kernel, the same for every batch.

    Returns:
        ``(B, C, H, W)``; beyond its border an image goes on as it ends.
    """
    reach = ceil(_REACH * largest)
    axis = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-(axis**2) / (2 * sigma[:, None] ** 2))
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    return filter2d_separable(maps, kernel, kernel, _BORDER)


def disc_blur(maps: Tensor, radius: Tensor, largest: float) -> Tensor:
    """Blur maps as a round aperture does; the rim of the disc is antialiased.

    Args:
        maps: ``(B, C, H, W)``.
        radius: Radius for each sample in pixels, ``(B,)``, at least 0.
        largest: The largest that ``radius`` may be: it decides the size of the kernel, the same for every batch.

    Returns:
        ``(B, C, H, W)``; beyond its border an image goes on as it ends.
    """
    reach = ceil(largest)
    axis = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = (radius[:, None, None] + 0.5 - torch.hypot(axis[:, None], axis)).clamp(0, 1)
    return filter2d(maps, kernel / kernel.sum(dim=(1, 2), keepdim=True), _BORDER)


def blend(clear: Tensor, focus_map: Tensor, blur: Blur) -> tuple[Tensor, Tensor]:
    """Mix the clear image and its blurred copy: ``near = m clear + (1 - m) blur(clear)``, and far the other way.

    Light of either side leaks into the blur of the other, as no lens lets it.

    Args:
        clear: The sharp image, ``(B, C, H, W)``.
        focus_map: ``m``, ``(B, 1, H, W)`` in [0, 1], 1 where the near-focused image is sharp.
        blur: What being out of focus does.

    Returns:
        The near- and the far-focused image, ``(B, C, H, W)``.
    """
    blurred = blur(clear)
    return torch.lerp(blurred, clear, focus_map), torch.lerp(clear, blurred, focus_map)


def compose_layers(clear: Tensor, focus_map: Tensor, blur: Blur) -> tuple[Tensor, Tensor]:
    """Show a near layer in front of a far one, with either in focus.

    Near in focus: the sharp near layer hides the blurred far one, which is blurred as if nothing stood before it.
    Far in focus: the near layer, blurred together with its coverage, spills over the far one, which goes on behind it.

    Args:
        clear: The sharp image in linear light, ``(B, C, H, W)``.
        focus_map: Coverage by the near layer, ``(B, 1, H, W)`` in [0, 1].
        blur: What being out of focus does.

    Returns:
        The near- and the far-focused image, ``(B, C, H, W)``.
    """
    behind = 1 - focus_map
    layers = torch.cat([clear * focus_map, focus_map, clear * behind, behind], dim=1)
    channels = clear.shape[1]
    spilt, cover, back, back_cover = blur(layers).split([channels, 1, channels, 1], dim=1)
    back = back / back_cover.clamp(min=_LEAST_COVERAGE)
    continued = torch.lerp(clear, back, focus_map)
    return torch.lerp(back, clear, focus_map), spilt + (1 - cover).clamp(min=0) * continued
