"""Metrics of Tang's tables of 2022, whose programs scored 8-bit images in 8-bit arithmetic or in [0, 1].

The package has the sound definitions only; here are the others, so that the published values can be met.
"""

import numpy as np
import torch
from scipy.signal import convolve2d
from torch import Tensor


def _levels(image: Tensor) -> np.ndarray:
    return image[0, 0].numpy()


def saturating_standard_deviation(fused: Tensor, *_: Tensor) -> Tensor:
    """Differences to the mean are rounded and clamped at 0, their squares at 255."""
    level = _levels(fused)
    difference = np.clip(np.floor(level - level.mean() + 0.5), 0, 255)
    return torch.tensor(np.sqrt(np.minimum(difference**2, 255).mean()))


def edge_preservation_of_unit_range(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Qabf of images in [0, 1]: which strengths are equal depends on the order in which the taps are added."""
    (strength_f, orientation_f), *sources = (_edges(_levels(image) / 255) for image in (fused, source_a, source_b))
    kept = 0.0
    for strength, orientation in sources:
        with np.errstate(invalid="ignore"):
            kept_strength = np.minimum(strength, strength_f) / np.maximum(strength, strength_f)
        kept_strength = np.where(strength == strength_f, strength_f, kept_strength)
        kept_orientation = 1 - np.abs(orientation - orientation_f) / (np.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (kept_strength - 0.5)))
        quality *= 0.9879 / (1 + np.exp(-22 * (kept_orientation - 0.8)))
        kept += (quality * strength).sum()
    return torch.tensor(kept / sum(strength.sum() for strength, _ in sources))


def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _conv2(image, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), _conv2(image, [[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(x**2 + y**2), np.where(x == 0, np.pi / 2, np.arctan(y / x))


def _conv2(image: np.ndarray, kernel: list[list[int]]) -> np.ndarray:
    """Convolve with zeros beyond the border, tap by tap in the order of MATLAB: down the columns of the kernel."""
    height, width = image.shape
    padded = np.pad(image, 1)
    total = np.zeros_like(image)
    for column in range(3):
        for row in range(3):
            total += kernel[row][column] * padded[2 - row : 2 - row + height, 2 - column : 2 - column + width]
    return total


def saturating_visual_information(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """VIF of 8-bit images: at the finest scale their products stop at 255."""
    return torch.tensor(sum(_vifp(_levels(source), _levels(fused)) for source in (source_a, source_b)))


def _vifp(source: np.ndarray, fused: np.ndarray) -> float:
    through_fused = from_source = 0.0
    for scale, taps in enumerate((17, 9, 5, 3)):
        tap = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * (taps / 5) ** 2))
        tap /= tap.sum()

        def local(image, tap=tap):
            return convolve2d(convolve2d(image, tap[None], "valid"), tap[:, None], "valid")

        if scale > 0:
            source, fused = local(source)[::2, ::2], local(fused)[::2, ::2]
        highest = np.inf if scale else 255
        mean_s, mean_f = local(source), local(fused)
        variance_s = np.maximum(local(np.minimum(source**2, highest)) - mean_s**2, 0)
        variance_f = np.maximum(local(np.minimum(fused**2, highest)) - mean_f**2, 0)
        covariance = local(np.minimum(source * fused, highest)) - mean_s * mean_f
        gain = covariance / (variance_s + 1e-10)
        distortion = variance_f - gain * covariance
        flat_source, flat_fused = variance_s < 1e-10, variance_f < 1e-10
        gain[flat_source] = 0
        distortion[flat_source] = variance_f[flat_source]
        variance_s[flat_source] = 0
        gain[flat_fused] = distortion[flat_fused] = 0
        distortion[gain < 0] = variance_f[gain < 0]
        gain = np.maximum(gain, 0)
        distortion = np.maximum(distortion, 1e-10)
        through_fused += np.log10(1 + gain**2 * variance_s / (distortion + 2)).sum()
        from_source += np.log10(1 + variance_s / 2).sum()
    return through_fused / from_source
