"""Flat figures that stand across the street, put together from parts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tools.street.colours import BLACK, Colour
from tools.street.shapes import upright
from tools.street.stage import Stage


@dataclass(frozen=True)
class Figure:
    """A place to stand, and what all parts of a figure have in common."""

    stage: Stage
    x: float
    """Metres to the right."""
    z: float
    """Metres ahead."""
    grain: float
    """Relative strength of the texture."""
    lit: float
    """Share of light received; asked for before the figure's own shadow falls."""
    height: float = 1.0
    """Metres that a unit of the outlines stands for."""
    breadth: float = 1.0
    """Widens what is drawn; -1 mirrors it."""

    def part(self, outline: ArrayLike, colour: Colour, celsius: float, glow: Colour = BLACK) -> None:
        """Paint a flat outline ``(N, 2)`` over the parts before."""
        points = np.asarray(outline, np.float64) * (self.breadth, 1.0) * self.height
        self.stage.paint(upright(points, self.x, self.z), colour, celsius, self.grain, glow, self.lit)
