"""What every focus map promises."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.images import Picture

NEAR_SHARES = (0.3, 0.7)
"""The least and the largest part of a scene that is aimed to be near, so that both images show something sharp."""


class FocusMap(ABC):
    """Choose which part of a scene is near: 1 where the near-focused image is sharp, 0 where the far-focused one is.

    Between the two, at the edges, the map is the coverage of a pixel by what is near.
    """

    @property
    def companions(self) -> dict[str, str]:
        """The images beside each pair that the map is made from: by role, a path or pattern as in `PairDataset`."""
        return {}

    @abstractmethod
    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw the map of one scene.

        Args:
            clear: The sharp image, RGB ``(H, W, 3)`` in [0, 1].
            companions: The images that `companions` names, of the same size.
            generator: Source of every choice.

        Returns:
            ``(H, W)`` in [0, 1].
        """


def soft_step(field: NDArray[np.float32], level: float, width: float) -> NDArray[np.float32]:
    """Return 1 where ``field`` is above ``level``, 0 where it is below, and a ramp of ``width`` between."""
    return np.clip((field - np.float32(level)) / np.float32(width) + np.float32(0.5), 0, 1)
