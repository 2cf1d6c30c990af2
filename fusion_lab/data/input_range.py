"""Which values of a file are black and white: raw thermal counts fill a few percent of the range of their type."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusion_lab.errors import FusionLabError

_NUMBER = r"([+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)"
_LEVELS = re.compile(rf"{_NUMBER}\.\.{_NUMBER}")
_PERCENTILES = re.compile(rf"{_NUMBER}%\.\.{_NUMBER}%")
_SAMPLES = 1 << 16


@dataclass(frozen=True)
class InputRange:
    """The values of a file that become 0 and 1; what lies beyond them is cut.

    Attributes:
        kind: ``full``, from 0 to the largest value of the type; ``minmax``, the smallest and largest value that occur;
            ``percentiles``, between two percentiles of the values; or ``levels``, between two given values.
        low: The lower percentile or level.
        high: The upper one.
    """

    kind: Literal["full", "minmax", "percentiles", "levels"] = "full"
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def of(cls, text: "InputRange | str") -> "InputRange":
        """Read a range: ``full``, ``minmax``, two percentiles as ``1%..99%``, or two levels as ``7000..9500``.

        Raises:
            FusionLabError: The text is none of these, or the second number is not above the first.
        """
        if isinstance(text, InputRange):
            return text
        words = text.strip()
        if words == "full":
            return cls()
        if words == "minmax":
            return cls("minmax")
        percentiles, levels = _PERCENTILES.fullmatch(words), _LEVELS.fullmatch(words)
        match = percentiles or levels
        low, high = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
        if not low < high < np.inf or (percentiles and not 0 <= low < high <= 100):
            raise FusionLabError(
                f"The input range '{text}' should be full, minmax, two percentiles such as 1%..99%, or two rising "
                "levels such as 7000..9500."
            )
        return cls("percentiles" if percentiles else "levels", low, high)

    def __str__(self) -> str:
        sign = "%" if self.kind == "percentiles" else ""
        return self.kind if self.kind in ("full", "minmax") else f"{self.low!r}{sign}..{self.high!r}{sign}"

    def of_values(self, values: NDArray[Any]) -> "InputRange":
        """Return the levels that this range means for values, of which there is at least one."""
        if self.kind == "minmax":
            return InputRange("levels", float(values.min()), float(values.max()))
        if self.kind == "percentiles":
            low, high = np.percentile(values, [self.low, self.high])
            return InputRange("levels", float(low), float(high))
        return self

    def of_all(self, images: Iterable[NDArray[Any]]) -> "InputRange":
        """Return the levels that this range means for the values of many images together.

        Percentiles are those of at most 65,536 values of each image, evenly spaced.
        """
        if self.kind == "minmax":
            ends = [np.array([values.min(), values.max()]) for values in images]
        else:
            ends = [values.ravel()[:: _step(values.size)] for values in images]
        return self.of_values(np.concatenate(ends))

    def scale(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Bring values to [0, 1] by the levels of this range; what is undefined becomes 0."""
        with np.errstate(invalid="ignore"):
            scaled = (values.astype(np.float64) - self.low) / max(self.high - self.low, np.finfo(np.float64).tiny)
        return np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)


def _step(size: int) -> int:
    """Return the distance of evenly spaced values, which are not all of one channel or of a few columns."""
    step = -(-size // _SAMPLES)
    while step > 1 and math.gcd(step, size) > 1:
        step += 1
    return max(step, 1)


FULL = InputRange()
"""From 0 to the largest value of the type."""
