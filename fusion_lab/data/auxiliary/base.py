"""What every auxiliary task promises."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fusion_lab.data.images import Picture

Recipe = dict[str, NDArray[np.float32]]
"""All that is random about the sources of one scene."""


class Synthesis(ABC):
    """Make the two sources of a digital-photography task from the visible image of a scene.

    Of focuses and exposures that image is the ideal fusion; a subclass of which this is not true says so.

    In two stages: `draw` chooses in the process that reads the scene, `render` makes the images of a whole batch, there
    or on the device of the network. The images are the same, but for rounding.
    """

    task: ClassVar[str]
    """The task that the sources belong to, such as ``mff``."""
    needs_colour: bool = False
    """Whether `render` must have RGB; what is linear in the encoded values does as well with luminance."""

    @property
    def companions(self) -> dict[str, str]:
        """The images beside each pair that are needed: by role, a path or pattern as in `PairDataset`."""
        return {}

    @abstractmethod
    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> Recipe:
        """Choose all that is random about one scene.

        Args:
            clear: The visible image, RGB ``(H, W, 3)`` in [0, 1].
            companions: The images that `companions` names, of the same size.
            generator: Source of every choice.
        """

    @abstractmethod
    def render(self, clear: Tensor, recipe: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Make the sources of a batch.

        Args:
            clear: The visible images, ``(B, C, H, W)`` in [0, 1]: RGB, or luminance unless `needs_colour`.
            recipe: What `draw` chose for each, stacked.

        Returns:
            The first and the second source, each ``(B, C, H, W)`` in [0, 1], luminance or RGB.
        """
