"""Trees, whose leaves are as warm as the air."""

import numpy as np

from tools.street.colours import Colour, scaled
from tools.street.figure import Figure
from tools.street.shapes import ellipse, limb, upright
from tools.street.stage import Stage

BARK: Colour = (70, 56, 44)
LEAF: Colour = (64, 96, 44)


def paint_tree(stage: Stage, x: float, z: float) -> None:
    """Paint a trunk and a crown of many leaves, ``x`` metres to the right and ``z`` ahead."""
    generator, lit = stage.generator, stage.light_at(x, z)
    tall = generator.uniform(4, 7)
    green = generator.uniform(0.7, 1.2)
    stage.shadow(upright(ellipse(0, 0, 3, 0.2), x, z), 0.5 * lit)
    trunk = Figure(stage, x, z, grain=0.3, lit=lit)
    trunk.part(limb((0, 0), (0.1, 0.6 * tall), 0.3, 0.2), BARK, stage.air + 1.5)
    crown = Figure(stage, x, z, grain=0.4, lit=lit)
    for _ in range(70):
        # The square root spreads the leaves evenly over the crown's disc.
        angle, radius = generator.uniform(0, 2 * np.pi), np.sqrt(generator.random())
        aside, up = 0.28 * tall * radius * np.cos(angle), 0.72 * tall + 0.27 * tall * radius * np.sin(angle)
        # The light comes from above.
        bright = green * (0.65 + 0.35 * (up / tall - 0.45) / 0.54 + generator.uniform(-0.15, 0.15))
        leaf = ellipse(aside, up, *generator.uniform(0.12, 0.26, 2) * tall * 0.6)
        crown.part(leaf, scaled(LEAF, bright), stage.air + generator.uniform(-0.4, 0.4))
