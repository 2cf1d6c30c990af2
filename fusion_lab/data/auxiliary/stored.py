"""Multi-focus pairs that were made before."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fusion_lab.data.auxiliary.base import Recipe, Synthesis
from fusion_lab.data.colour import rgb
from fusion_lab.data.images import Picture


class StoredFocus(Synthesis):
    """A far- and a near-focused image from files, as GIFNet's release or ``fusion-lab data make-focus`` wrote them.

    They have the names of the visible and infrared images and are cut at the same place.

    Args:
        near: Where the near-focused images are, a path or pattern below the root of the pairs as in `PairDataset`.
        far: Where the far-focused images are.
    """

    task: ClassVar[str] = "mff"

    def __init__(self, near: str = "visible_focus_near/train", far: str = "visible_focus_far/train") -> None:
        self.near = near
        self.far = far

    @property
    def companions(self) -> dict[str, str]:
        """Both images."""
        return {"near_focus": self.near, "far_focus": self.far}

    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> Recipe:
        """Take both images of one scene, each ``(3, H, W)`` in [0, 1]; nothing is random."""
        return {role: np.moveaxis(rgb(picture), -1, 0) for role, picture in companions.items()}

    def render(self, clear: Tensor, recipe: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the far- and the near-focused images ``(B, 3, H, W)``."""
        return recipe["far_focus"], recipe["near_focus"]
