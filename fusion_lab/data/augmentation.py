"""Paired augmentation: whatever happens to one source happens to the other."""

import os
from collections.abc import Callable

import numpy as np

from fusion_lab.errors import FusionLabError

# Without this, albumentations asks the network for a newer version of itself on import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations

Transform = Callable[[dict[str, np.ndarray], int, str], dict[str, np.ndarray]]
"""Changes the images ``(H, W)`` or ``(H, W, C)`` of a pair, given a seed and the name of the pair."""


class Augmentation:
    """A random crop, and flips and quarter turns if wanted, the same for all images of a pair.

    TITA's release crops only. Each draw follows from its seed alone, whatever worker or rank makes it.

    Args:
        patch: Side of the square crop in pixels.
        flips: Also flip and turn by quarters at random.
    """

    def __init__(self, patch: int = 64, flips: bool = False) -> None:
        if patch < 1:
            raise FusionLabError(f"`patch` should be at least 1. Found `patch = {patch}`.")
        self.patch = patch
        steps: list[albumentations.BasicTransform] = [albumentations.RandomCrop(patch, patch)]
        if flips:
            steps.append(albumentations.D4(p=1.0))
        self._compose = albumentations.Compose(steps, is_check_shapes=False)

    def __call__(self, images: dict[str, np.ndarray], seed: int, name: str) -> dict[str, np.ndarray]:
        """Augment the images ``(H, W)`` or ``(H, W, C)`` of one pair to ``(patch, patch)``, whatever they are called.

        Raises:
            FusionLabError: The pair is smaller than the crop.
        """
        height, width = images["source_a"].shape[:2]
        if min(height, width) < self.patch:
            raise FusionLabError(
                f"The pair '{name}' ({width}x{height}) is smaller than the crop of {self.patch} pixels: "
                "leave it out or choose a smaller `patch`."
            )
        self._compose.add_targets({key: "image" for key in images if key != "source_a"})
        self._compose.set_random_seed(seed)
        renamed = {"image" if key == "source_a" else key: image for key, image in images.items()}
        augmented = self._compose(**renamed)
        return {key: augmented["image" if key == "source_a" else key] for key in images}


class CentreCrop:
    """The centre of every image, at most ``size`` pixels a side.

    Args:
        size: The longest side in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, images: dict[str, np.ndarray], seed: int, name: str) -> dict[str, np.ndarray]:
        """Crop the images ``(H, W)`` or ``(H, W, C)`` of one pair; nothing is random."""
        height, width = next(iter(images.values())).shape[:2]
        top, left = max(0, height - self.size) // 2, max(0, width - self.size) // 2
        return {key: image[top : top + self.size, left : left + self.size] for key, image in images.items()}
