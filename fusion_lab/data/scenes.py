"""Scenes seen by several tasks at once: read and cut at one place, and made into a batch of all tasks."""

from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from torch import Tensor
from torch.utils.data import default_collate

from fusion_lab.data.auxiliary.base import Synthesis
from fusion_lab.data.colour import luma, rgb
from fusion_lab.data.images import Picture, read_picture
from fusion_lab.data.input_range import FULL
from fusion_lab.data.pairs import Pair, PairDataset, find_images
from fusion_lab.data.picture_cache import NO_CACHE, PictureCache
from fusion_lab.errors import FusionLabError, first_few
from fusion_lab.types import Batch, Sample

MAIN_TASK = "ivf"


class Scenes(NamedTuple):
    """Scenes of which the auxiliary sources are still to be rendered, each entry a batch."""

    visible: Tensor
    """RGB, ``(B, 3, H, W)`` in [0, 1]."""
    infrared: Tensor
    """``(B, 1, H, W)`` in [0, 1]."""
    recipe: dict[str, Tensor]
    """What the auxiliary task's `Synthesis.draw` chose."""
    name: list[str]
    file_a: list[str]
    file_b: list[str]

    def render(self, auxiliary: Synthesis | None) -> Batch:
        """Make the batch of both tasks: the same scenes in the same order, cut at the same places.

        The target of the auxiliary task is the visible luminance, which is the first source of ``ivf``.
        """
        visible = luma(self.visible)
        batch: Batch = {MAIN_TASK: self._sample(visible, self.infrared, self.file_b)}
        if auxiliary:
            clear = self.visible if auxiliary.needs_colour else visible
            source_a, source_b = auxiliary.render(clear, self.recipe)
            batch[auxiliary.task] = self._sample(luma(source_a), luma(source_b), self.file_a)
            batch[auxiliary.task]["target"] = visible
        return batch

    def _sample(self, source_a: Tensor, source_b: Tensor, file_b: list[str]) -> Sample:
        return Sample(source_a=source_a, source_b=source_b, name=self.name, file_a=self.file_a, file_b=file_b)


def find_companions(dataset: PairDataset, patterns: dict[str, str]) -> list[dict[str, Path]]:
    """Find the images that stand beside each pair, by role, in the order of the pairs.

    Args:
        dataset: The pairs.
        patterns: For each role a path or pattern below the root of the pairs.

    Raises:
        FusionLabError: A folder is missing or empty, or a pair has no such image.
    """
    found = {role: find_images(dataset.root, pattern) for role, pattern in patterns.items()}
    for role, files in found.items():
        if missing := [pair.name for pair in dataset.pairs if pair.key not in files]:
            raise FusionLabError(
                f"{len(missing)} pairs below {dataset.root} have no image of the same name in {patterns[role]} "
                f"({', '.join(first_few(missing))}): add the files, or choose another auxiliary task."
            )
    return [{role: files[pair.key] for role, files in found.items()} for pair in dataset.pairs]


def read_scene(pair: Pair, companions: dict[str, Path], cache: PictureCache = NO_CACHE) -> dict[str, Picture]:
    """Read ``source_a``, the visible image, ``source_b``, the infrared one, and what stands beside them by its role.

    Raises:
        FusionLabError: A file cannot be read, or the sizes differ.
    """
    visible, infrared = pair.read(cache)
    pictures = {"source_a": visible, "source_b": infrared}
    for role, path in companions.items():
        pictures[role] = cache.read(read_picture, path, FULL)
        if pictures[role].size != visible.size:
            raise FusionLabError(
                f"The image {path} and its visible image {pair.a} differ in size: bring them to the same size first."
            )
    return pictures


def scene(pictures: dict[str, Picture], auxiliary: Synthesis | None, seed: int, pair: Pair) -> dict[str, Any]:
    """Describe one scene by the entries of `Scenes`, of one sample each."""
    visible = rgb(pictures["source_a"])
    infrared = pictures["source_b"]
    recipe = {}
    if auxiliary:
        companions = {role: pictures[role] for role in auxiliary.companions}
        # Another stream than the crop's, which has the same seed.
        recipe = auxiliary.draw(visible, companions, np.random.default_rng([seed, crc32(b"auxiliary")]))
    return {
        "visible": np.ascontiguousarray(np.moveaxis(visible, -1, 0)),
        "infrared": infrared.luminance()[None].astype(np.float32) / np.float32(infrared.levels),
        "recipe": recipe,
        "name": pair.name,
        "file_a": str(pair.a),
        "file_b": str(pair.b),
    }


def stack(scenes: list[dict[str, Any]]) -> Scenes:
    """Make a batch of scenes of one size."""
    return Scenes(**default_collate(scenes))
