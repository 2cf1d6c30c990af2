"""Fixed filters that several losses share."""

import math
from functools import cache

import torch
from kornia.filters import filter2d
from torch import Tensor
from torch.nn import functional as F


def sobel_magnitude(image: Tensor) -> Tensor:
    """Give ``|I * Kx| + |I * Ky|`` with the Sobel kernels, zeros beyond the border, unscaled.

    Args:
        image: ``(B, 1, H, W)``.

    Returns:
        ``(B, 1, H, W)``, 0 or more.
    """
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=image.dtype, device=image.device)
    gradients = F.conv2d(image, torch.stack([kernel, -kernel.T])[:, None], padding=1)
    return gradients.abs().sum(dim=1, keepdim=True)


@cache
def gaussian_window(size: int, sigma: float) -> Tensor:
    """Give a normalised Gaussian ``(size, size)`` of ``sigma`` pixels.

    Rounded to float32 tap by tap as in the releases, whatever the images are: SSIM's variances feel the difference.
    """
    # A tensor made in inference mode could not be used in training later.
    with torch.inference_mode(False):
        taps = torch.tensor([math.exp(-((i - size // 2) ** 2) / (2 * sigma**2)) for i in range(size)])
        taps = taps / taps.sum()
        return torch.outer(taps, taps)


def gaussian_blur(image: Tensor, size: int, sigma: float) -> Tensor:
    """Filter each plane of ``(B, C, H, W)`` with `gaussian_window`, zeros beyond the border."""
    return filter2d(image, gaussian_window(size, sigma)[None].to(image), border_type="constant")
