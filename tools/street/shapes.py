"""Outlines in metres: flat ones ``(N, 2)`` of right and up, and polygons ``(N, 3)`` of right, up and ahead."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Point = tuple[float, float]
Corners = list[tuple[float, float, float]]


def ellipse(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    """Return the outline ``(20, 2)`` of an ellipse around ``(x, y)``."""
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return np.stack([x + width / 2 * np.cos(angles), y + height / 2 * np.sin(angles)], axis=1)


def limb(start: Point, end: Point, start_width: float, end_width: float) -> NDArray[np.float64]:
    """Return the outline ``(14, 2)`` of a tapering limb with round ends."""
    first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = np.arctan2(*(last - first)[::-1])
    turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 7) + along
    cap = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([first + start_width / 2 * cap, last - end_width / 2 * cap])


def symmetric(left: list[Point]) -> list[Point]:
    """Return an outline whose right half mirrors the left one."""
    return left + [(-x, y) for x, y in reversed(left)]


def upright(outline: ArrayLike, x: float, z: float) -> NDArray[np.float64]:
    """Stand a flat outline ``(N, 2)`` on the ground, across the street, ``x`` to the right and ``z`` ahead."""
    outline = np.asarray(outline, np.float64)
    return np.column_stack([x + outline[:, 0], outline[:, 1], np.full(len(outline), z)])


def on_ground(left: float, right: float, near: float, far: float) -> Corners:
    """Return the corners of a rectangle that lies on the ground."""
    return [(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)]


def wall(start: Point, end: Point, height: float) -> Corners:
    """Return the corners of a wall between two points of the ground, each given as right and ahead."""
    return [(start[0], 0, start[1]), (start[0], height, start[1]), (end[0], height, end[1]), (end[0], 0, end[1])]
