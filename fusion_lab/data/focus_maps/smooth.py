"""Focus maps that know nothing of the scene."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.focus_maps.base import NEAR_SHARES, FocusMap, soft_step
from fusion_lab.data.images import Picture

_CELLS = 4
"""Random numbers along each side."""
_EDGE = 0.3
"""Width of the edges, in standard deviations of the random surface."""
_LEAST_WIDTH = 1e-6


class SmoothMap(FocusMap):
    """A few smooth blobs with soft edges: a random surface of low frequency, cut at a random height."""

    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw a map ``(H, W)`` in [0, 1] for an image ``(H, W, 3)``; only its size matters."""
        height, width = clear.shape[:2]
        heights = generator.standard_normal((_CELLS, _CELLS), np.float32)
        surface = np.asarray(cv2.resize(heights, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        level = float(np.quantile(surface, 1 - generator.uniform(*NEAR_SHARES)))
        return soft_step(surface, level, max(_EDGE * float(surface.std()), _LEAST_WIDTH))
