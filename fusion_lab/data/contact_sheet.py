"""A contact sheet: many small images on one page, to see at a glance what a synthesis does."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fusion_lab.data.auxiliary import Synthesis
from fusion_lab.data.images import Picture, write_picture
from fusion_lab.data.make_focus import rendered_scenes
from fusion_lab.data.pairs import PairDataset
from fusion_lab.data.scenes import find_companions

_TILE = 160
_GAP = 4
_HEADER = 20
_PAPER = 255

Image = NDArray[np.uint8]


def write_sheet(path: Path, rows: list[dict[str, Image]], columns: int = 2) -> None:
    """Write rows of images as one picture.

    Args:
        path: The image file.
        rows: Images ``(H, W, 3)`` or ``(H, W, 1)`` of any size by their titles, the same titles in each row; they are
            scaled to fit a tile.
        columns: Rows side by side.

    Raises:
        FusionLabError: The suffix names no image format, or the file cannot be written.
    """
    strips = [np.hstack([_tile(image) for image in row.values()]) for row in rows]
    missing = -len(strips) % columns
    strips += [np.full_like(strips[0], _PAPER)] * missing
    lines = [np.hstack(strips[start : start + columns]) for start in range(0, len(strips), columns)]
    write_picture(Picture(np.vstack([_header([*rows[0]] * columns), *lines])), path)


def scene_rows(
    dataset: PairDataset, synthesis: Synthesis, number: int, seed: int = 0, patch: int | None = None
) -> list[dict[str, Image]]:
    """Render scenes, evenly spread over a data set, as the rows of `write_sheet`.

    Args:
        dataset: Visible and infrared images.
        synthesis: The auxiliary task.
        number: How many scenes at most.
        seed: Seed of all that is random.
        patch: The side of the patches that are cut first; whole images unless given.
    """
    files = find_companions(dataset, synthesis.companions)
    generator = np.random.default_rng(seed)
    rows = []
    for index in np.linspace(0, len(dataset) - 1, min(number, len(dataset))).round().astype(int):
        scenes = list(rendered_scenes(dataset.pairs[index], files[index], synthesis, seed, patch))
        shown = scenes[generator.integers(len(scenes))]
        recipe = shown.scenes.recipe
        images = {"clear": shown.scenes.visible}
        if "focus_map" in recipe:
            images |= {"focus map": recipe["focus_map"], "near focus": shown.source_b, "far focus": shown.source_a}
        else:
            images |= {"source A": shown.source_a, "source B": shown.source_b}
        rows.append({title: _bytes(image[0]) for title, image in images.items()})
    return rows


def _bytes(image: Tensor) -> Image:
    """Return ``(C, H, W)`` in [0, 1] as an image of 8 bits, ``(H, W, C)``."""
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def _tile(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    # OpenCV drops a last axis of one.
    colour = shrunk if shrunk.ndim == 3 else np.dstack([shrunk] * 3)
    tile = np.full((_TILE + _GAP, _TILE + _GAP, 3), _PAPER, np.uint8)
    tile[: size[1], : size[0]] = colour
    return tile


def _header(titles: list[str]) -> Image:
    header: NDArray[Any] = np.full((_HEADER, (_TILE + _GAP) * len(titles), 3), _PAPER, np.uint8)
    for number, title in enumerate(titles):
        place = (number * (_TILE + _GAP) + _GAP, _HEADER - 6)
        header = cv2.putText(header, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(header, np.uint8)
