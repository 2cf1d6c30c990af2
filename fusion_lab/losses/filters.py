"""Fixed filters that several losses share."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


def sobel_gradients(image: Tensor) -> Tensor:
    """Return ``I * Kx`` and ``I * Ky`` with the Sobel kernels, zeros beyond the border, unscaled.

    Args:
        image: ``(B, 1, H, W)``.

    Returns:
        ``(B, 2, H, W)``.
    """
    # Sums of slices: a kernel would be copied to the device at every step.
    padded = F.pad(image, (1, 1, 1, 1))
    across = padded[..., 2:] - padded[..., :-2]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    x = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    y = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([x, -y], dim=1)


def sobel_magnitude(image: Tensor) -> Tensor:
    """Return ``|I * Kx| + |I * Ky|`` with the Sobel kernels, zeros beyond the border, unscaled.

    Args:
        image: ``(B, 1, H, W)``.

    Returns:
        ``(B, 1, H, W)``, 0 or more.
    """
    return sobel_gradients(image).abs().sum(dim=1, keepdim=True)


@cache
def gaussian_window(
    size: int, sigma: float, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return a normalised Gaussian ``(size, size)`` of ``sigma`` pixels, made once for a device.

    Rounded to float32 tap by tap as in the releases, whatever the images are: SSIM's variances feel the difference.
    """
    # A tensor made in inference mode could not be used in training later.
    with torch.inference_mode(False):
        taps = torch.tensor(
            [math.exp(-((i - size // 2) ** 2) / (2 * sigma**2)) for i in range(size)], dtype=torch.float32, device="cpu"
        )
        taps = taps / taps.sum()
        return torch.outer(taps, taps).to(device, dtype)


def gaussian_filter(planes: Tensor, size: int, sigma: float, stride: int = 1) -> Tensor:
    """Filter each plane of ``(B, C, H, W)`` with `gaussian_window`, where it lies inside the image.

    Returns:
        ``(B, C, h, w)``, each side ``(side - size) // stride + 1``.
    """
    window = gaussian_window(size, sigma, planes.device, planes.dtype)
    filtered = F.conv2d(planes.flatten(0, 1)[:, None], window[None, None], stride=stride)
    return filtered[:, 0].unflatten(0, planes.shape[:2])


def gaussian_blur(image: Tensor, size: int, sigma: float) -> Tensor:
    """Filter each plane of ``(B, C, H, W)`` with `gaussian_window`, zeros beyond the border."""
    return gaussian_filter(F.pad(image, (size // 2,) * 4), size, sigma)
