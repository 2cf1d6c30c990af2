"""The layers that shapes are painted on, and that the two cameras then look at."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tools.street.colours import BLACK, Colour
from tools.street.daytime import Daytime
from tools.street.pinhole import PinholeCamera

SKY_DISTANCE = 1000.0
"""Metres; whatever is as far away is sky."""
SUBPIXEL_BITS = 4
"""Binary places of the corners handed to OpenCV."""


class Stage:
    """What both cameras would see without optics, haze and noise."""

    def __init__(self, camera: PinholeCamera, daytime: Daytime, air: float, generator: np.random.Generator) -> None:
        self.camera, self.daytime, self.generator = camera, daytime, generator
        self.air = air
        """Degrees Celsius."""
        self.colour = np.zeros((*camera.shape, 3), np.uint8)
        """Reflectance as 8-bit sRGB."""
        self.glow = np.zeros((*camera.shape, 3), np.uint8)
        """Light emitted, as 8-bit sRGB."""
        self.matter = np.zeros((*camera.shape, 4), np.float32)
        """The layers `celsius`, `grain`, `lit` and `distance`, in one array so that one call paints them."""
        self.lamps: list[tuple[float, float]] = []
        """Where street lamps stand: metres to the right and ahead."""

    @property
    def celsius(self) -> NDArray[np.float32]:
        """Temperature ``(H, W)`` in degrees Celsius."""
        return self.matter[..., 0]

    @property
    def grain(self) -> NDArray[np.float32]:
        """Relative strength ``(H, W)`` of the texture that only visible light shows."""
        return self.matter[..., 1]

    @property
    def lit(self) -> NDArray[np.float32]:
        """Share ``(H, W)`` of the hour's light that is received, 1 in the open."""
        return self.matter[..., 2]

    @property
    def distance(self) -> NDArray[np.float32]:
        """Metres away ``(H, W)``."""
        return self.matter[..., 3]

    def paint(
        self,
        points: ArrayLike,
        colour: Colour,
        celsius: float,
        grain: float = 0.06,
        glow: Colour = BLACK,
        lit: float = 1.0,
    ) -> None:
        """Paint a polygon ``(N, 3)`` in metres over everything painted before."""
        points = np.asarray(points, np.float64)
        corners = [_fixed_point(self.camera.project(points))]
        cv2.fillPoly(self.colour, corners, colour, cv2.LINE_AA, shift=SUBPIXEL_BITS)
        cv2.fillPoly(self.glow, corners, glow, cv2.LINE_AA, shift=SUBPIXEL_BITS)
        # No smooth edges here: a mixture of two distances or temperatures lies where nothing is.
        cv2.fillPoly(self.matter, corners, (celsius, grain, lit, float(points[:, 2].mean())), shift=SUBPIXEL_BITS)

    def paste(self, picture: NDArray[np.uint8], corners: ArrayLike, glow: float = 0.0) -> None:
        """Paste a picture ``(h, w, 3)`` into a quadrangle ``(4, 3)`` from its top left corner clockwise.

        Paint has no warmth of its own: the infrared camera sees only the surface beneath.
        """
        height, width = picture.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        target = self.camera.project(np.asarray(corners, np.float64))
        window, inside = self._inside(target)
        if not inside.any():
            return
        shifted = (target - (window[1].start, window[0].start)).astype(np.float32)
        warp = cv2.getPerspectiveTransform(source, shifted)
        size = inside.shape[::-1]
        warped = cv2.warpPerspective(picture, warp, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        self.colour[window][inside] = warped[inside]
        if glow:
            self.glow[window][inside] = (warped[inside] * glow).astype(np.uint8)

    def shadow(self, points: ArrayLike, lit: float) -> None:
        """Leave a polygon ``(N, 3)`` in metres at most the share ``lit`` of the light."""
        window, inside = self._inside(self.camera.project(np.asarray(points, np.float64)))
        share = self.lit[window]
        share[inside] = np.minimum(share[inside], lit)

    def light_at(self, x: float, z: float) -> float:
        """Return the share of light that the ground receives, ``x`` metres to the right and ``z`` ahead."""
        column, row = self.camera.project(np.array([[x, 0.0, z]]))[0].round().astype(int)
        inside = 0 <= row < self.camera.height and 0 <= column < self.camera.width
        return float(self.lit[row, column]) if inside else 1.0

    def _inside(self, corners: NDArray[np.float64]) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """Return the window around a polygon ``(N, 2)`` of pixels, and which of its pixels lie inside."""
        limits = (self.camera.width, self.camera.height)
        left, top = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, limits).astype(int)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [_fixed_point(corners - (left, top))], 1, shift=SUBPIXEL_BITS)
        return (slice(top, bottom), slice(left, right)), mask > 0


def _fixed_point(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return columns and rows ``(N, 2)`` in the fixed-point numbers that OpenCV draws with."""
    return np.rint(pixels * 2**SUBPIXEL_BITS).astype(np.int32)
