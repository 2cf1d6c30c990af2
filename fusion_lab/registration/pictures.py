"""Bringing one picture onto the grid of another."""

import cv2
import numpy as np

from fusion_lab.data.images import Picture, Pixels
from fusion_lab.registration.alignment import Alignment, Model, find_alignment
from fusion_lab.registration.edges import Matrix


def align_pictures(a: Picture, b: Picture, model: Model = "homography") -> tuple[Picture, Alignment]:
    """Return B on the grid of A, and how it lies there; B as it is where that cannot be trusted.

    Args:
        a: The picture that stays.
        b: The one that moves, of any size.
        model: What warps are looked for (`find_alignment`).
    """
    found = find_alignment(a.luminance(), b.luminance(), model)
    return (warp_picture(b, found.matrix, found.size) if found.trusted else b), found


def warp_picture(picture: Picture, matrix: Matrix, size: tuple[int, int]) -> Picture:
    """Return a picture on another grid, without its place on the map.

    Args:
        picture: The picture; beyond its border its last pixels go on.
        matrix: ``(3, 3)``, from the pixels of the grid to those of the picture.
        size: Width and height of the grid.
    """

    def moved(pixels: Pixels) -> Pixels:
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(
            np.ascontiguousarray(pixels), matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )

    return Picture(moved(picture.pixels), None if picture.alpha is None else moved(picture.alpha))
