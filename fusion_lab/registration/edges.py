"""What images of different modalities share: their edges, whatever their sign and strength."""

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Matrix = NDArray[np.float64]

_SIGMA = 1.0
_NEIGHBOURHOOD = 8
"""Sigmas of the Gaussian over which the strength of edges is evened out, in units of that of the edges."""
_LEAST_OVERLAP = 0.3


def edge_maps(image: Values) -> Values:
    """Return the strength of edges, evened out over their neighbourhood, and twice their direction as a vector.

    A direction and its opposite have the same double angle: thermal and visible images differ in the sign of edges.

    Args:
        image: ``(H, W)`` in any units.

    Returns:
        ``(3, H, W)``.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), _SIGMA)
    x, y = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    squared = x * x + y * y
    strength = np.sqrt(squared)
    around = cv2.GaussianBlur(strength, (0, 0), _NEIGHBOURHOOD * _SIGMA)
    tiny = np.float32(1e-6)
    evened = np.sqrt(strength / (around + np.float32(0.1) * around.mean() + tiny))
    directed = evened / (squared + tiny * (squared.max() + tiny))
    return np.stack([evened - evened.mean(), directed * (x * x - y * y), directed * 2 * x * y])


def warp(image: Values, matrix: Matrix, size: tuple[int, int]) -> Values:
    """Return what lies at ``matrix @ (x, y, 1)`` for each pixel of a grid, zero outside.

    Args:
        image: ``(H, W)``.
        matrix: ``(3, 3)``, from the pixels of the grid to those of the image.
        size: Width and height of the grid.
    """
    return cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)  # type: ignore[return-value]


def similarity(a: Values, b: Values, matrix: Matrix) -> float:
    """Return the correlation of two images' edge maps ``(3, H, W)`` where they overlap; -1 where they hardly do."""
    size = a.shape[:0:-1]
    inside = warp(np.ones(b.shape[1:], np.float32), matrix, size) > 0.99
    if inside.mean() < _LEAST_OVERLAP:
        return -1.0
    first, second = a[:, inside], np.stack([warp(channel, matrix, size)[inside] for channel in b])
    first = first - first.mean(axis=1, keepdims=True)
    second = second - second.mean(axis=1, keepdims=True)
    norm = np.sqrt(float((first * first).sum()) * float((second * second).sum()))
    return float((first * second).sum()) / norm if norm else -1.0
