"""The perspective that both cameras share."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

SUPERSAMPLING = 2
"""Pixels painted for one of the sensor, along each side."""


@dataclass(frozen=True)
class PinholeCamera:
    """A pinhole that looks along the street, in pixels of the supersampled image."""

    height: int
    width: int
    focal: float
    """Focal length."""
    centre: float
    """Column of the vanishing point."""
    horizon: float
    """Row of the vanishing point."""
    altitude: float
    """Metres above the ground."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def nearest(self) -> float:
        """Metres to the nearest ground in sight."""
        return self.focal * self.altitude / (self.height - self.horizon)

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return columns and rows ``(N, 2)`` of points ``(N, 3)`` in metres: right, up and ahead."""
        # What stands beside or behind the camera would otherwise be mirrored.
        ahead = np.maximum(points[:, 2], 0.5)
        columns = self.centre + self.focal * points[:, 0] / ahead
        rows = self.horizon + self.focal * (self.altitude - points[:, 1]) / ahead
        return np.stack([columns, rows], axis=1)

    def metres_aside(self, column: float, ahead: float) -> float:
        """Return how far to the right something lies that is seen in a column, ``ahead`` metres away."""
        return (column - self.centre) / self.focal * ahead


def shrink_to_sensor(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the mean over each pixel of the sensor, of an image ``(H, W)`` or ``(H, W, C)``."""
    scale = 1 / SUPERSAMPLING
    # OpenCV keeps the type of the numbers, but does not declare it.
    return cast(NDArray[np.floating], cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
