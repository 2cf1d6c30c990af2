"""Focus maps from depth."""

import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.focus_maps.base import NEAR_SHARES, FocusMap, soft_step
from fusion_lab.data.images import Picture
from fusion_lab.data.synthetic.defocus import smooth_depth

_EDGE = 0.05
"""Width of the edges, as a part of the range of depths."""


class DepthMap(FocusMap):
    """Near is what has less depth than a random part of the scene: objects, and the ground before them.

    Args:
        disparity: Where the depth of each pair is told, as images of inverse depth, bright for near (what monocular
            depth estimators and stereo write); a path or pattern as in `PairDataset`. Unless given, depth is invented.
    """

    def __init__(self, disparity: str | None = None) -> None:
        self.disparity = disparity

    @property
    def companions(self) -> dict[str, str]:
        """The images of inverse depth, if there are any."""
        return {"disparity": self.disparity} if self.disparity else {}

    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw a map ``(H, W)`` in [0, 1] for an image ``(H, W, 3)``; what is all at one depth is all near."""
        if self.disparity:
            picture = companions["disparity"]
            nearness = picture.luminance().astype(np.float32) / np.float32(picture.levels)
        else:
            nearness = 1 - smooth_depth(clear.shape[:2], generator)
        nearness = nearness - nearness.min()
        share = generator.uniform(*NEAR_SHARES)
        if not nearness.any():
            return np.ones_like(nearness)
        nearness = nearness / nearness.max()
        return soft_step(nearness, float(np.quantile(nearness, 1 - share)), _EDGE)
