"""How two images lie on each other, and whether that can be trusted."""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_lab.errors import FusionLabError
from fusion_lab.registration.edges import Matrix, Values, edge_maps, similarity
from fusion_lab.registration.search import MOTIONS, candidates, ecc, refine

Model = Literal["translation", "affine", "homography"]

BASE = 320
"""Pixels of the longer side at which most of the work is done; bounds in pixels are those of this size."""
_LARGEST = 1280
_COARSEST = 0.25
_TRIED, _REFINED = 30, 6

_LEAST_SIMILARITY = 0.24
_MOST_DISAGREEMENT = 1.5
_MOST_SPREAD = 5.0


@dataclass(frozen=True)
class Alignment:
    """How the pixels of A lie on those of B.

    Attributes:
        matrix: ``(3, 3)``; the pixel ``(x, y)`` of A shows what B shows at ``matrix @ (x, y, 1)``, divided by its last.
        similarity: The correlation of the edges after the warp, at most 1.
        disagreement: How far the way from A to B and back leads astray at the corners, in pixels of images of 320.
        spread: How far the corners move when a quarter of A is left out, the worst of four, in the same pixels.
        size: Width and height of A.
    """

    matrix: Matrix
    similarity: float
    disagreement: float
    spread: float
    size: tuple[int, int]

    @property
    def doubts(self) -> list[str]:
        """What speaks against it, each a few words; nothing where it can be trusted."""
        found = []
        if self.similarity < _LEAST_SIMILARITY:
            found.append(f"the edges agree too little ({self.similarity:.2f}, needed {_LEAST_SIMILARITY})")
        if self.disagreement > _MOST_DISAGREEMENT:
            found.append(f"forth and back differ by {self.disagreement:.1f} pixels")
        if self.spread > _MOST_SPREAD:
            found.append(f"parts of the image tell warps {self.spread:.1f} pixels apart")
        return found

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.doubts

    @property
    def shift(self) -> float:
        """How far the corners of A move on the grid of B, in pixels of B, on average."""
        return _distance(self.matrix, np.eye(3), self.size)


def find_alignment(a: NDArray[Any], b: NDArray[Any], model: Model = "homography") -> Alignment:
    """Find how two images of a scene lie on each other, by their edges, from coarse to fine.

    The images may be of different modalities and sizes; each is taken to show about what the other shows, up to a
    fifth of a side, a quarter of the scale and some six degrees.

    Args:
        a: The first image, grey, ``(H, W)`` in any units.
        b: The second one.
        model: What warps are looked for; a homography is taken only where it fits clearly better than an affine one.

    Raises:
        FusionLabError: An image is smaller than 32 pixels, or there is no such model.

    Example:
        >>> import numpy as np
        >>> from skimage.data import camera
        >>> found = find_alignment(camera()[20:404, 30:414], camera()[16:400, 24:408])
        >>> bool(found.trusted), found.matrix[:2, 2].round().tolist()
        (True, [6.0, 4.0])
    """
    if model not in MOTIONS:
        raise FusionLabError(f"`model` should be one of {', '.join(MOTIONS)}. Found `model = {model}`.")
    if min(*a.shape, *b.shape) < 32:
        raise FusionLabError("Images of less than 32 pixels a side cannot be aligned.")
    # Work on B at the scale at which both show the same.
    base = BASE / max(a.shape)
    growth = np.sqrt(a.size / b.size)
    first, second = _scaled(a, base), _scaled(b, base * growth)
    there, value = _search(first, second, model, 1.0)
    back, _ = _search(second, first, model, 1.0)
    size = (first.shape[1], first.shape[0])
    disagreement = _distance(back @ there, np.eye(3), size)
    maps = edge_maps(first), edge_maps(second)
    spread = _spread(*maps, there, size, model)
    fine = 2.0
    while fine * base <= 1 and fine * BASE <= _LARGEST:
        larger = edge_maps(_scaled(a, base * fine)), edge_maps(_scaled(b, base * growth * fine))
        moved, _ = refine(*larger, _at(there, fine), MOTIONS[model])
        there = _at(moved, 1 / fine)
        fine *= 2
    matrix = _resize(1 / (base * growth)) @ there @ _resize(base)
    return Alignment(matrix / matrix[2, 2], value, disagreement, spread, (a.shape[1], a.shape[0]))


def _search(a: Values, b: Values, model: Model, finest: float) -> tuple[Matrix, float]:
    """Return the best warp and the similarity of the edges after it."""
    coarse = edge_maps(_scaled(a, _COARSEST)), edge_maps(_scaled(b, _COARSEST))
    found = candidates(*coarse, turned=model != "translation")[:_TRIED]
    found.sort(key=lambda matrix: -similarity(*coarse, matrix))
    turning = MOTIONS["translation"] if model == "translation" else [cv2.MOTION_EUCLIDEAN, cv2.MOTION_AFFINE]
    matrix, _ = max((refine(*coarse, one, turning) for one in found[:_REFINED]), key=lambda one: one[1])
    matrix, value = _at(matrix, 1 / _COARSEST), 0.0
    level = 2 * _COARSEST
    while level <= finest:
        maps = edge_maps(_scaled(a, level)), edge_maps(_scaled(b, level))
        refined, value = refine(*maps, _at(matrix, level), MOTIONS[model])
        matrix = _at(refined, 1 / level)
        level *= 2
    return matrix, value


def _spread(a: Values, b: Values, matrix: Matrix, size: tuple[int, int], model: Model) -> float:
    """Return how far the corners move when each quarter of the image is left out: what rests on one part moves far."""
    width, height = size
    worst = 0.0
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        mask = np.ones((height, width), np.float32)
        mask[row * height // 2 : (row + 1) * height // 2, column * width // 2 : (column + 1) * width // 2] = 0
        moved = ecc(a, b, matrix, MOTIONS[model][0], mask)
        worst = max(worst, float("inf") if moved is None else _distance(moved, matrix, size))
    return worst


def _scaled(image: NDArray[Any], factor: float) -> Values:
    """Resize an image; pixels are squares here, and their centres have whole numbers."""
    size = tuple(max(16, round(side * factor)) for side in image.shape[::-1])
    smaller = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image.astype(np.float32), size, interpolation=smaller)  # type: ignore[return-value]


def _resize(factor: float) -> Matrix:
    """Return the matrix from the pixels of an image to those of one resized by a factor."""
    return np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])


def _at(matrix: Matrix, factor: float) -> Matrix:
    """Return a warp between images for the same images resized by a factor."""
    return _resize(factor) @ matrix @ _resize(1 / factor)


def _distance(matrix: Matrix, other: Matrix, size: tuple[int, int]) -> float:
    """Return the mean distance between where two warps put the corners of an image."""
    right, bottom = size[0] - 1, size[1] - 1
    corners = np.array([[[0, 0], [right, 0], [0, bottom], [right, bottom]]], np.float64)
    there, here = (cv2.perspectiveTransform(corners, one)[0] for one in (matrix, other))
    return float(np.linalg.norm(there - here, axis=1).mean())
