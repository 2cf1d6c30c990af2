"""Smooth random fields: clouds, smoke, stains and uneven warmth."""

import cv2
import numpy as np
from numpy.typing import NDArray


def smooth_noise(shape: tuple[int, int], cells: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return noise ``(H, W)`` in about [-1, 1], the coarsest of its four octaves ``cells`` waves a side."""
    total = np.zeros(shape, np.float32)
    for octave in range(4):
        side = cells * 2**octave
        waves = generator.uniform(-1, 1, (side, side)).astype(np.float32)
        total += 0.5**octave * cv2.resize(waves, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return total
