"""Street lamps, lit after sunset."""

import numpy as np

from tools.street.colours import BLACK, Colour
from tools.street.figure import Figure
from tools.street.shapes import ellipse, limb
from tools.street.stage import Stage

STEEL: Colour = (70, 74, 76)
BULB: Colour = (255, 226, 170)


def paint_lamp(stage: Stage, x: float, z: float) -> None:
    """Paint a mast ``x`` metres to the right and ``z`` ahead, with an arm over the road and its head."""
    on = stage.daytime.dark
    reach = -np.sign(x) * 0.9
    # Shadows lie on the ground; most of a lamp stands above them.
    lamp = Figure(stage, x, z, grain=0.06, lit=1.0)
    lamp.part(limb((0, 0), (0, 5.5), 0.16, 0.1), STEEL, stage.air - 0.5)
    lamp.part(limb((0, 5.5), (reach, 5.6), 0.1, 0.08), STEEL, stage.air - 0.5)
    lamp.part(ellipse(reach, 5.55, 0.6, 0.2), (200, 200, 190), stage.air + (12 if on else 0), BULB if on else BLACK)
