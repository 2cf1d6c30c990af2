"""What a file of an image says, before it is a picture of whole levels."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.input_range import FULL, InputRange
from fusion_lab.data.picture import Picture, Pixels, Tags, without_nodata
from fusion_lab.data.profiles import to_srgb
from fusion_lab.errors import FusionLabError, FusionLabWarning

_MOST_LEVELS = 0xFFFF
_LEAST_BYTES = 2


@dataclass(frozen=True)
class StoredImage:
    """The samples of a file, and what it says of them.

    Attributes:
        name: What messages call it.
        values: ``(H, W)`` grey or ``(H, W, 3)`` RGB, of any real type.
        alpha: ``(H, W)`` of the same type and white, or None.
        white: The value of white, 255 or 4095; None where the type says nothing of it.
        zero_is_white: Whether larger values are darker.
        orientation: As EXIF tells it, 1 to 8; anything else says nothing.
        profile: The ICC profile, empty where there is none.
        nodata: The value that means nothing.
        geotags: As of `Picture`.
        resolution: As of `Picture`, of the image as it is stored.
        frames: How many images the file holds; these are the values of the first.
    """

    name: str
    values: NDArray[Any]
    alpha: NDArray[Any] | None = None
    white: int | None = None
    zero_is_white: bool = False
    orientation: Any = 1
    profile: bytes = b""
    nodata: float | None = None
    geotags: Tags = ()
    resolution: tuple[float, float] | None = None
    frames: int = 1

    def shown(self) -> NDArray[Any]:
        """Return the values, larger ones brighter where the file tells what white is."""
        return self.white - self.values if self.zero_is_white and self.white is not None else self.values

    def measured(self) -> NDArray[Any]:
        """Return all values that mean something, one after another.

        Raises:
            FusionLabError: There are none.
        """
        values = self.shown()
        kept = np.isfinite(values)
        if self.nodata is not None:
            kept &= self.values != self.nodata
        if not kept.any():
            raise FusionLabError(f"The image {self.name} has no value that is defined: leave it out.")
        return values[kept]

    def picture(self, input_range: InputRange = FULL) -> Picture:
        """Make whole levels of the values, upright and in sRGB.

        Args:
            input_range: Which values are black and white. Profiles of colours are applied to the full range alone:
                other values are measurements.

        Raises:
            FusionLabError: There are no pixels; or the full range is asked for, and the type does not tell what white
                is.
        """
        if not self.values.size:
            raise FusionLabError(f"The image {self.name} has no pixels: replace the file.")
        if self.frames > 1:
            warnings.warn(
                f"The image {self.name} holds {self.frames} frames: the first is used, the others are left out.",
                FusionLabWarning,
                stacklevel=3,
            )
        full = input_range.kind == "full"
        pixels = self._full() if full else self._within(input_range)
        alpha = None if self.alpha is None else self._alpha(pixels.dtype)
        if full and self.profile:
            pixels = to_srgb(pixels, self.profile)
        turned = self.orientation in range(2, 9)
        as_stored = np.array_equal(pixels, self.values)
        resolution = self.resolution[::-1] if self.resolution and self.orientation in range(5, 9) else self.resolution
        return Picture(
            upright(pixels, self.orientation),
            None if alpha is None else upright(alpha, self.orientation),
            () if turned else self.geotags if as_stored else without_nodata(self.geotags),
            resolution,
        )

    def _full(self) -> Pixels:
        values = self.shown()
        if self.white is not None and self.white <= _MOST_LEVELS:
            return to_levels(values, self.white)
        whole = np.issubdtype(values.dtype, np.integer) and values.dtype.itemsize >= _LEAST_BYTES
        low, high = (float(values.min()), float(values.max())) if np.isfinite(values).all() else (np.nan, np.nan)
        if whole and not self.zero_is_white and low >= 0 and high <= _MOST_LEVELS:
            return values.astype(np.uint16)
        kind = "floating-point" if np.issubdtype(values.dtype, np.floating) else "whole"
        inside = ", outside 0..65535" if whole and not self.zero_is_white else ""
        white = ", of which zero is white" if self.zero_is_white else ""
        raise FusionLabError(
            f"The image {self.name} has {kind} values ({values.dtype}{white}) from {low:g} to {high:g}{inside}: tell "
            "the input range of this source, such as minmax or two levels, or store it with 8 or 16 bits."
        )

    def _within(self, input_range: InputRange) -> Pixels:
        levels = input_range.of_values(self.measured()) if input_range.kind != "levels" else input_range
        scaled = levels.scale(self.shown())
        if self.zero_is_white and self.white is None:
            scaled = 1 - scaled
        if self.nodata is not None:
            scaled[self.values == self.nodata] = 0
        kind = np.uint8 if self.white is not None and self.white <= np.iinfo(np.uint8).max else np.uint16
        return np.rint(scaled * np.iinfo(kind).max).astype(kind)

    def _alpha(self, kind: Any) -> Pixels:
        assert self.alpha is not None
        if self.white is None:
            most = 1.0 if np.issubdtype(self.alpha.dtype, np.floating) else float(np.iinfo(self.alpha.dtype).max)
        else:
            most = float(self.white)
        if most == np.iinfo(kind).max:
            return self.alpha.astype(kind)
        share = np.nan_to_num(self.alpha.astype(np.float64) / most).clip(0, 1)
        return np.rint(share * np.iinfo(kind).max).astype(kind)


def to_levels(values: NDArray[Any], white: int) -> Pixels:
    """Bring whole values of 0 to white, at most 65535, to all levels of 8 or, where these are too few, 16 bits."""
    kind = np.uint8 if white <= np.iinfo(np.uint8).max else np.uint16
    most = int(np.iinfo(kind).max)
    if white == most:
        return values.astype(kind)
    return ((values.astype(np.uint64) * most + white // 2) // white).astype(kind)


def upright(bands: NDArray[Any], orientation: Any) -> NDArray[Any]:
    """Turn an image as EXIF orientation 1..8 says; anything else says nothing."""
    if orientation in (2, 4, 5, 7):
        bands = bands[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(bands, quarter_turns))
